// node node.mjs < JOB: what drive.mjs makes of it, as a line of JSON.
import { text } from "node:stream/consumers";
import { drive } from "./drive.mjs";

console.log(JSON.stringify(await drive(JSON.parse(await text(process.stdin)))));
