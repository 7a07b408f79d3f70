// What a bundle needs of a browser: files by fetch, ONNX Runtime as WebAssembly, the tokenizer. All from this server.
import { BundleError, firstLine, openBundle } from "./bundle.mjs";

const RUNTIME = "vendor/ort.wasm.bundle.min.mjs";
const WASM = "vendor/ort-wasm-simd-threaded.wasm";
const TOKENIZERS = "vendor/tokenizers.min.mjs";
const MAKE = "make this folder with: bash export/web/setup BUNDLE OUT_DIR";

/** Open ./bundle: `{ bundle, pageBytes, runtimeBytes, settingsBytes, runtimeSeconds, settingsSeconds }`. */
export async function open() {
  if (typeof WebAssembly !== "object") throw new BundleError("this browser has no WebAssembly: ONNX Runtime needs it");
  const start = performance.now();
  const [ort, { Tokenizer }, wasm] = await Promise.all([script(RUNTIME), script(TOKENIZERS), read(WASM)]);
  ort.env.wasm.wasmBinary = wasm.buffer;
  ort.env.wasm.numThreads = 1; // more need headers that a plain static server does not send
  const ready = performance.now();
  let counted = 0;
  const counting = async (path) => {
    const spelled = path.split("/").map(encodeURIComponent).join("/"); // or %2e%2e would be a step back
    const bytes = await read(`bundle/${spelled}`);
    counted += bytes.byteLength;
    return bytes;
  };
  const bundle = await openBundle({ read: counting, backend: backend(ort), Tokenizer });
  await bundle.golden();
  const settingsBytes = counted;
  const settingsSeconds = (performance.now() - ready) / 1000;
  const runtimeSeconds = (ready - start) / 1000;
  const sizes = { pageBytes: await pageBytes(), runtimeBytes: wasm.byteLength, settingsBytes };
  return { bundle, ...sizes, runtimeSeconds, settingsSeconds };
}

/** Return the bytes of the page itself: its HTML, style and scripts. The browser's own count of a file that it has from
 * its cache may be 0, so they are read again, from that cache. */
async function pageBytes() {
  const isPart = (name) => /\.(mjs|css)$/.test(new URL(name).pathname);
  const parts = performance.getEntriesByType("resource").map(({ name }) => name).filter(isPart);
  const files = [location.href, ...new Set(parts)].map((name) => read(name, "force-cache"));
  return (await Promise.all(files)).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function backend({ InferenceSession, Tensor }) {
  const start = ({ file, data_files: more }, bytes) => {
    const folder = file.slice(0, file.lastIndexOf("/") + 1);
    const externalData = more.map((path) => ({ path: path.replace(folder, ""), data: bytes.get(path) }));
    return InferenceSession.create(bytes.get(file), { executionProviders: ["wasm"], externalData });
  };
  return { device: "wasm", Tensor, start };
}

async function script(path) {
  try {
    return await import(new URL(path, document.baseURI));
  } catch (error) {
    throw new BundleError(`${path}: cannot be loaded (${firstLine(error)}); ${MAKE}`, { cause: error });
  }
}

async function read(path, cache = "no-cache") {
  let response;
  try {
    response = await fetch(path, { cache });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new BundleError(`${path}: the server does not answer (${firstLine(error)})`, { cause: error });
  }
  throw new BundleError(`${path}: missing (HTTP ${response.status}); ${MAKE}`);
}
