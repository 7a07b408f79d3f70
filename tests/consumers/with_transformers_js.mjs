// Load a bundle with transformers.js, as a browser would, in each precision that it looks for by name.
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { env, pipeline } from "@huggingface/transformers";

const [bundle, expectedFile] = process.argv.slice(2);
const { texts, vectors, int8, pooling, fits } = JSON.parse(readFileSync(expectedFile, "utf-8"));
env.localModelPath = dirname(bundle);
env.allowRemoteModels = false;
const tolerance = { fp32: 2e-5, fp16: 2e-3, q8: 2e-3 };
let failed = false;
for (const dtype of Object.keys(tolerance)) {
  const extract = await pipeline("feature-extraction", basename(bundle), { dtype });
  let worst = 0, text = "";
  for (let i = 0; i < texts.length; i += 16) {
    const output = await extract(texts.slice(i, i + 16), { pooling, normalize: true });
    const [rows, dim] = output.dims;
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < dim; c++) {
        const off = Math.abs(output.data[r * dim + c] - (dtype === "q8" ? int8 : vectors)[i + r][c]);
        // Of a text that is too long transformers.js cuts off the closing special token as well, whatever the folder says.
        if (fits[i + r] && !(off <= worst)) [worst, text] = [off, texts[i + r]];
      }
  }
  const good = worst <= tolerance[dtype];
  failed ||= !good;
  console.log(`${good ? "ok  " : "FAIL"} transformers.js ${env.version} ${dtype}: max abs ${worst.toExponential(2)}, allowed ${tolerance[dtype]}, on “${text.slice(0, 40)}”`);
}
process.exit(failed ? 1 : 0);
