// The package in node: onnxruntime-node runs the graphs of a folder, or of one on a server.
import { webcrypto } from "node:crypto";
import { access, readFile, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import * as bundles from "./bundle.mjs";
import { MirrorkitError, firstLine, shown } from "./errors.mjs";
import { remoteFiles } from "./remote.mjs";

export { MirrorkitError } from "./errors.mjs";

globalThis.crypto ??= webcrypto; // node 18 has it, but not by that name

/** See index.d.ts. */
export async function openBundle(place, options) {
  return bundles.openEncoder(await platform(place, options), options);
}

/** See index.d.ts. */
export async function openManifest(place, options) {
  return bundles.openManifest(await platform(place, options), options);
}

async function platform(place, { threads = 1, ort, tokenizer, provider = "cpu" } = {}) {
  if (provider !== "cpu") throw new MirrorkitError(`provider ${shown(provider)}: must be cpu in node`);
  const remote = /^https?:/.test(place);
  const folder = remote ? undefined : folderOf(place);
  const get = async () => {
    const { InferenceSession, Tensor } = ort ?? (await loadRuntime());
    const options = { intraOpNumThreads: threads, interOpNumThreads: 1 };
    const fromBytes = ({ file, data_files: more }, bytes) => {
      const beside = file.slice(0, file.lastIndexOf("/") + 1);
      const externalData = more.map((path) => ({ path: path.replace(beside, ""), data: bytes.get(path) }));
      return InferenceSession.create(bytes.get(file), { ...options, externalData });
    };
    // From the file, not from its bytes: weights that lie in a second file are found beside it.
    const fromFile = async ({ file }) => InferenceSession.create(await inside(folder, file), options);
    return { provider: "cpu", device: "cpu", proven: true, Tensor, start: remote ? fromBytes : fromFile };
  };
  return {
    source: remote ? await remoteFiles(place, { cache: false }) : folderFiles(folder),
    backends: [{ name: "cpu", get }],
    loadTokenizer: async () => tokenizer ?? (await loaded("tokenizer.wasm", compiled)),
  };
}

async function loadRuntime() {
  // Read when the library is loaded, which would otherwise report the machine and the program to its makers.
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
  return loaded("onnxruntime-node", () => import("onnxruntime-node"));
}

let module; // compiled once, for all tokenizers

async function compiled() {
  return (module ??= await WebAssembly.compile(await readFile(new URL("../wasm/tokenizer.wasm", import.meta.url))));
}

async function loaded(name, load) {
  try {
    return await load();
  } catch (error) {
    const hint = error.code === "ERR_MODULE_NOT_FOUND" ? `; install it: npm install ${name}` : "";
    throw new MirrorkitError(`${name}: cannot be loaded (${firstLine(error)})${hint}`, { cause: error });
  }
}

function folderOf(place) {
  if (place instanceof URL || /^file:/.test(place)) {
    try {
      return fileURLToPath(place);
    } catch (error) {
      throw new MirrorkitError(`${shown(String(place))}: not the address of a folder`, { cause: error });
    }
  }
  if (typeof place !== "string" || !place)
    throw new MirrorkitError(`bundle ${shown(place)}: must be a path or an address`);
  return place;
}

function folderFiles(folder) {
  const read = async (path, { meter }) => {
    try {
      return await readFile(await inside(folder, path), { signal: meter.signal });
    } catch (error) {
      meter.signal?.throwIfAborted();
      if (error instanceof MirrorkitError) throw error;
      const hint = path === "mirrorkit.json" ? ", so this is not a bundle; make one: mirrorkit export" : "";
      const what = `${folder}: ${path} cannot be read (${error.code ?? error.message})${hint}`;
      throw new MirrorkitError(what, { cause: error });
    }
  };
  const has = (path) => access(join(folder, path)).then(() => true, () => false);
  return { read, has };
}

/** Return where a file of the folder is; throws MirrorkitError where links lead out of it. In the cache of the Hugging
 * Face hub every file is a link to one in the folder `blobs` of the same model, which counts as inside. */
async function inside(folder, path) {
  const home = await realpath(folder);
  const place = join(home, path);
  const allowed = [home];
  for (let at = home; at !== dirname(at); at = dirname(at)) {
    const model = dirname(dirname(at));
    if (basename(dirname(at)) === "snapshots" && basename(model).startsWith("models--"))
      allowed.push(join(model, "blobs"));
  }
  const real = await realpath(place);
  const leadsOut = (from) => relative(from, real).split(sep)[0] === "..";
  if (allowed.every(leadsOut)) throw new MirrorkitError(`${folder}: ${path} is a link that leads out of the folder`);
  return place;
}
