import { drive } from "./drive.mjs";

self.onmessage = async ({ data }) => self.postMessage(await drive(data));
