// node verdicts.mjs PATH...: for each folder's mirrorkit.json, or each graph whose manifest names the file `data` with it,
// a line of JSON, what was wrong with it, or nothing.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { MirrorkitError } from "../../export/js/src/errors.mjs";
import { checkGraph, readManifest } from "../../export/js/src/files.mjs";

for (const path of process.argv.slice(2)) {
  let said = "";
  try {
    if (statSync(path).isDirectory()) readManifest(readFileSync(join(path, "mirrorkit.json")));
    else checkGraph({ file: "onnx/model.onnx", data_files: ["onnx/data", "data2"] }, readFileSync(path));
  } catch (error) {
    if (!(error instanceof MirrorkitError)) throw error;
    said = error.message;
  }
  console.log(JSON.stringify(said));
}
