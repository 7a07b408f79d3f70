// node verdicts.mjs FOLDER...: for each mirrorkit.json a line of JSON, what was wrong with it, or nothing.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BundleError, readManifest } from "../../export/web/bundle.mjs";

for (const folder of process.argv.slice(2)) {
  let said = "";
  try {
    readManifest(readFileSync(join(folder, "mirrorkit.json")));
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    said = error.message;
  }
  console.log(JSON.stringify(said));
}
