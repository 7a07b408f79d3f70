// What runs a graph in a browser, page or worker: ONNX Runtime Web, as WebAssembly or on the GPU.
import { openEncoder, openManifest } from "./bundle.mjs";
import { MirrorkitError, firstLine, shown } from "./errors.mjs";
import { remoteFiles } from "./remote.mjs";

let module; // tokenizer.wasm compiled once, for all tokenizers

/** Return `{ openBundle, openManifest }` that take ONNX Runtime from `load()` and the provider `usual` unless told. */
export function forWeb(load, usual) {
  const platform = async (address, options = {}) => ({
    source: await remoteFiles(address, options),
    backends: backendsOf({ load, provider: usual, ...defined(options) }),
    loadTokenizer: async () => options.tokenizer ?? (await loaded("tokenizer.wasm", compiled)),
  });
  return {
    openBundle: async (address, options) => openEncoder(await platform(address, options), options),
    openManifest: async (address, options) => openManifest(await platform(address, options), options),
  };
}

/** Return what may run a graph, the wanted one first; `ort` is ONNX Runtime Web where the caller has loaded it. */
export function backendsOf({ load, provider, ort, threads }) {
  if (typeof WebAssembly !== "object")
    throw new MirrorkitError("this browser has no WebAssembly: ONNX Runtime needs it");
  const library = once(async () => {
    const found = ort ?? (await loaded("onnxruntime-web", load));
    if (!ort || threads) found.env.wasm.numThreads = threads ?? 1; // more need headers that few servers send
    return found;
  });
  const wasm = { name: "wasm", get: once(async () => ({ ...(await running(library, "wasm")), proven: true })) };
  if (provider === "wasm") return [wasm];
  if (provider !== "webgpu" && provider !== "auto")
    throw new MirrorkitError(`provider ${shown(provider)}: must be one of wasm, webgpu, auto`);
  return [{ name: "webgpu", get: once(() => gpu(library, provider === "webgpu")) }, wasm];
}

async function gpu(library, isAsked) {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter().catch(() => null);
  if (!adapter) {
    if (isAsked) throw new MirrorkitError("this browser has no WebGPU here");
    return null;
  }
  const without = adapter.features.has("shader-f16") ? [] : ["fp16"];
  return { ...(await running(library, "webgpu")), without, proven: false, batchTokens: 4096 };
}

async function running(library, provider) {
  const { InferenceSession, Tensor } = await library();
  const start = ({ file, data_files: more }, bytes) => {
    const folder = file.slice(0, file.lastIndexOf("/") + 1);
    const externalData = more.map((path) => ({ path: path.replace(folder, ""), data: bytes.get(path) }));
    const options = { executionProviders: [provider], externalData, logSeverityLevel: 3 }; // errors, and no advice
    return InferenceSession.create(bytes.get(file), options);
  };
  return { provider, device: provider, Tensor, start };
}

async function compiled() {
  if (module) return module;
  const response = await fetch(new URL("../wasm/tokenizer.wasm", import.meta.url)); // bundlers know it in this form
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return (module = await WebAssembly.compile(await response.arrayBuffer()));
}

async function loaded(name, load) {
  try {
    return await load();
  } catch (error) {
    throw new MirrorkitError(`${name}: cannot be loaded (${firstLine(error)})`, { cause: error });
  }
}

function once(make) {
  let made;
  return () => (made ??= make());
}

function defined(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
