import { drive, tokens } from "./drive.mjs";

self.onmessage = async ({ data }) => self.postMessage(await (data.places ? tokens(data) : drive(data)));
