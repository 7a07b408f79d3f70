// node node.mjs < JOB: what drive.mjs makes of it, as a line of JSON.
import { text } from "node:stream/consumers";
import { drive, tokens } from "./drive.mjs";

const job = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(await (job.places ? tokens(job) : drive(job))));
