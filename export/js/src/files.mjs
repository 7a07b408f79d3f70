// The files of a bundle, each held to the size and the SHA-256 on record, and how much of them has come.
import { MirrorkitError, firstLine } from "./errors.mjs";
import { checkManifest, parseJson } from "./fields.mjs";
import { checkGraphPaths } from "./graph_paths.mjs";

const SCHEMA_VERSION = 3;

/** Return the manifest in these bytes. Throws MirrorkitError for one that is malformed or of a newer release. */
export function readManifest(bytes) {
  const manifest = parse(bytes, "mirrorkit.json");
  const bad = (what) => new MirrorkitError(`mirrorkit.json: ${what}`);
  const version = manifest?.schema_version;
  if (!Number.isInteger(version) || version < 1) throw bad("no schema_version in it");
  if (version > SCHEMA_VERSION) throw bad(`schema ${version}, this release reads up to ${SCHEMA_VERSION}`);
  try {
    checkManifest(manifest);
  } catch (error) {
    throw bad(firstLine(error));
  }
  return manifest;
}

/** Throw MirrorkitError where a graph names files of weights other than those that the manifest names with it, as ONNX
 * Runtime would open them itself. */
export function checkGraph({ file, data_files: more }, bytes) {
  const folder = file.slice(0, file.lastIndexOf("/") + 1);
  try {
    checkGraphPaths(bytes, more.filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length)));
  } catch (error) {
    throw new MirrorkitError(`${file}: ${firstLine(error)}`);
  }
}

/** Return the value of a JSON text or file. */
export function parse(content, name) {
  try {
    return typeof content === "string" ? JSON.parse(content) : parseJson(content);
  } catch (error) {
    throw new MirrorkitError(`${name}: not readable as JSON (${firstLine(error)})`, { cause: error });
  }
}

/** Tells `onProgress` of bytes: those that have come, and those of all files that are known to be needed. */
export class Meter {
  #sizes = new Map(); // path -> bytes
  #come = new Map();

  constructor({ onProgress, signal } = {}) {
    this.onProgress = onProgress;
    this.signal = signal;
  }

  /** Count these files in. */
  expect(manifest, paths) {
    const { files } = manifest;
    for (const path of paths) if (Object.hasOwn(files, path)) this.#sizes.set(path, files[path].bytes);
  }

  /** Say that so many bytes of a file have come. */
  come(path, bytes) {
    this.#come.set(path, bytes);
    const sum = (sizes) => [...sizes.values()].reduce((all, size) => all + size, 0);
    this.onProgress?.({ file: path, loaded: sum(this.#come), total: sum(this.#sizes) });
  }
}

/**
 * Return path -> Uint8Array. `source` is `{ read(path, { bytes, meter }) }`, and may have `kept(path, record)` and
 * `keep(path, record, bytes)`: a store of what was read before, which is believed no more than the rest.
 */
export async function readFiles(source, manifest, paths, meter) {
  meter.expect(manifest, paths);
  const found = new Map();
  for (const path of paths) found.set(path, await readFile(source, manifest, path, meter));
  return found;
}

async function readFile(source, manifest, path, meter) {
  if (!Object.hasOwn(manifest.files, path)) throw new MirrorkitError(`${path}: not among the files of mirrorkit.json`);
  meter.signal?.throwIfAborted();
  const record = manifest.files[path];
  const kept = await source.kept?.(path, record);
  const isKept = kept !== undefined && !(await fault(kept, record));
  const bytes = isKept ? kept : await source.read(path, { bytes: record.bytes, meter });
  const wrong = isKept ? "" : await fault(bytes, record);
  if (wrong) throw new MirrorkitError(`${path}: ${wrong}`);
  if (!isKept) await source.keep?.(path, record, bytes);
  meter.signal?.throwIfAborted();
  meter.come(path, record.bytes);
  return bytes;
}

/** Return what is wrong with a file, `""` where it is the one on record. */
async function fault(bytes, record) {
  if (bytes.byteLength !== record.bytes) return `has ${bytes.byteLength} bytes, mirrorkit.json says ${record.bytes}`;
  if (canHash() && (await sha256(bytes)) !== record.sha256)
    return "changed or damaged (its SHA-256 is not the one in mirrorkit.json)";
  return "";
}

/** Return whether files can be held to their SHA-256: browsers compute it on https and localhost alone. */
export function canHash() {
  return Boolean(globalThis.crypto?.subtle);
}

/** Return the SHA-256 of bytes as hexadecimal digits. */
export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
