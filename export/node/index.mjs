// Open a bundle in node: onnxruntime-node runs its graphs, @huggingface/tokenizers reads its tokenizer.json.
//
//   const bundle = await open("bundle");
//   const encoder = await bundle.encoder();
//   const vector = await encoder.encode("How do I reset my password?"); // Float32Array
import { webcrypto } from "node:crypto";
import { readFile, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { BundleError, openBundle } from "../web/bundle.mjs";

// Read when the library is loaded, which would otherwise report the machine and the program to its makers.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
const { InferenceSession, Tensor } = await import("onnxruntime-node");

globalThis.crypto ??= webcrypto; // node 18 has it, but not by that name

/** Return the bundle in `folder`; `threads` for one text, 1 where many processes share a machine. */
export function open(folder, { threads = 1 } = {}) {
  const read = async (path) => {
    try {
      return await readFile(await inside(folder, path));
    } catch (error) {
      if (error instanceof BundleError) throw error;
      const hint = path === "mirrorkit.json" ? ", so this is not a bundle; make one: mirrorkit export" : "";
      const what = `${folder}: ${path} cannot be read (${error.code ?? error.message})${hint}`;
      throw new BundleError(what, { cause: error });
    }
  };
  // From the file, not from its bytes: weights that lie in a second file are found beside it.
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1 };
  const start = async ({ file }) => InferenceSession.create(await inside(folder, file), options);
  return openBundle({ read, backend: { device: "cpu", Tensor, start }, Tokenizer });
}

/** Return where a file of the folder is; throws BundleError where links lead out of it. In the cache of the Hugging Face
 * hub every file is a link to one in the folder `blobs` of the same model, which counts as inside. */
async function inside(folder, path) {
  const home = await realpath(folder);
  const place = join(home, path);
  const allowed = [home];
  for (let at = home; at !== dirname(at); at = dirname(at)) {
    const model = dirname(dirname(at));
    if (basename(dirname(at)) === "snapshots" && basename(model).startsWith("models--")) allowed.push(join(model, "blobs"));
  }
  const real = await realpath(place);
  const leadsOut = (from) => relative(from, real).split(sep)[0] === "..";
  if (allowed.every(leadsOut)) throw new BundleError(`${folder}: ${path} is a link that leads out of the folder`);
  return place;
}
