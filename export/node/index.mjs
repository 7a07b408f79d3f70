// Open a bundle in node: onnxruntime-node runs its graphs, @huggingface/tokenizers reads its tokenizer.json.
//
//   const bundle = await open("bundle");
//   const encoder = await bundle.encoder();
//   const vector = await encoder.encode("How do I reset my password?"); // Float32Array
import { webcrypto } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
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
      return await readFile(join(folder, path));
    } catch (error) {
      const hint = path === "mirrorkit.json" ? ", so this is not a bundle; make one: mirrorkit export" : "";
      const what = `${folder}: ${path} cannot be read (${error.code ?? error.message})${hint}`;
      throw new BundleError(what, { cause: error });
    }
  };
  // From the file, not from its bytes: weights that lie in a second file are found beside it.
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1 };
  const start = ({ file }) => InferenceSession.create(join(folder, file), options);
  return openBundle({ read, backend: { device: "cpu", Tensor, start }, Tokenizer });
}
