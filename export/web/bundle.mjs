// A bundle in JavaScript: text in, vectors out. The graph pools and normalises, so nothing here does.
// It knows neither browser nor node: whoever opens a bundle says how to read its files and how to start a session.
import { checkManifest, parseJson } from "./fields.mjs";
import { checkGraphPaths } from "./graph_paths.mjs";
import { dot, promptOf, readUsage, similarityOf, unit } from "./usage.mjs";

const SCHEMA_VERSION = 3;
const POOLED = "sentence_embedding";
// Of bundles that were written before they told it: PREFERENCE of mirrorkit/formats/bundle.py.
const USUAL_PREFERENCE = {
  cpu: ["int8-fused", "int8", "fp32-fused", "fp32", "fp16", "int4"],
  wasm: ["int8", "int8-fused", "fp16", "fp32", "fp32-fused", "int4"],
};

export class BundleError extends Error {
  name = "BundleError";
}

/**
 * Open the bundle whose files `read(path)` gives as Uint8Array.
 *
 * `backend` is `{ device, Tensor, start(variant, bytes) }`: `cpu` or `wasm`, the tensor class of onnxruntime-web or
 * onnxruntime-node, and a function that makes an InferenceSession of `manifest.variants[name]`, `bytes` being its
 * files by path.
 * `Tokenizer` is the class of @huggingface/tokenizers. Throws BundleError for a folder that cannot be used.
 */
export async function openBundle({ read, backend, Tokenizer }) {
  const manifest = readManifest(await read("mirrorkit.json"));
  const bytes = await readFiles(read, manifest, ["tokenizer.json", "tokenizer_config.json"]);
  const settings = [...bytes].map(([path, content]) => parse(content, path));
  const usage = readUsage(manifest);
  return new Bundle(manifest, usage, read, backend, toIds(Tokenizer, settings, manifest.max_length, usage.side));
}

class Bundle {
  constructor(manifest, usage, read, backend, tokens) {
    this.manifest = manifest;
    this.usage = usage; // prompts, and what can be said of the vectors
    this.tokens = tokens; // { ids(text), isSpecial(id) }
    this.read = read;
    this.backend = backend;
    this.goldenRows = new Map(); // by file
  }

  /** Return the token ids of a text behind its prompt, special ones included, cut to max_length. `prompt` is put before
   * it, or the bundle's prompt called `promptName`, else its default one. */
  ids(text, options) {
    return this.tokens.ids(this.prompt(options) + text);
  }

  /** Return what stands before a text with these options; throws BundleError for a name that is none of the prompts. */
  prompt(options) {
    try {
      return promptOf(this.usage, options);
    } catch (error) {
      throw new BundleError(firstLine(error));
    }
  }

  /** Return how many ids of a prompt are attended to and not pooled. */
  unpooled(options) {
    const prompt = this.prompt(options);
    if (this.usage.includePrompt || !prompt) return 0;
    const ids = this.tokens.ids(prompt);
    return ids.length - (this.tokens.isSpecial(ids.at(-1)) ? 1 : 0);
  }

  /** Return how alike two vectors are by the model's own function; a distance is below zero. */
  similarity(a, b) {
    return similarityOf(this.usage.similarity, a, b);
  }

  /** Return the precisions and graphs there are: the keys of `manifest.variants`. */
  get variants() {
    return Object.keys(this.manifest.variants);
  }

  /** Return how many bytes a variant's files have. */
  size(name) {
    return this.files(name).reduce((sum, path) => sum + this.manifest.files[path].bytes, 0);
  }

  /** Return the name of the best variant for `auto` or a precision, else `wanted` itself where there is such a one.
   * Which is best on this device mirrorkit.json says, in its field `preference`. */
  choose(wanted) {
    const { variants, preference } = this.manifest;
    const names = preference?.[this.backend.device] ?? USUAL_PREFERENCE[this.backend.device];
    const fits = (name) =>
      Object.hasOwn(variants, name) && (wanted === "auto" || wanted === variants[name].precision);
    const name = names.find(fits) ?? wanted;
    if (!Object.hasOwn(variants, name))
      throw new BundleError(`variant ${wanted}: this bundle holds ${this.variants.join(", ") || "none"}`);
    return name;
  }

  /** Return an Encoder of the variant that `choose` finds for `wanted`: `auto`, `fp32`, `int8`, … */
  encoder(wanted = "auto") {
    return this.open(this.choose(wanted));
  }

  /** Return an Encoder of exactly this one of `variants`. */
  async open(name) {
    const { variants } = this.manifest;
    if (!Object.hasOwn(variants, name))
      throw new BundleError(`variant ${name}: this bundle holds ${this.variants.join(", ") || "none"}`);
    const variant = variants[name];
    const bytes = await readFiles(this.read, this.manifest, this.files(name));
    checkGraph(variant, bytes.get(variant.file));
    let session;
    try {
      session = await this.backend.start(variant, bytes);
    } catch (error) {
      throw new BundleError(`${variant.file}: does not run here (${firstLine(error)})`, { cause: error });
    }
    return new Encoder(name, session, this);
  }

  /** Return the golden texts of a variant, those of all but the static one without a name:
   * `{ text, input_ids, embedding }`, what every runtime must reproduce. */
  async golden(name) {
    const file = this.manifest.variants[name]?.golden ?? "golden.jsonl";
    if (!this.goldenRows.has(file)) {
      const bytes = await readFiles(this.read, this.manifest, [file]);
      const lines = new TextDecoder().decode(bytes.get(file)).split("\n").filter(Boolean);
      if (!lines.length) throw new BundleError(`${file}: no texts in it`);
      this.goldenRows.set(file, lines.map((line, i) => parse(line, `${file}, line ${i + 1}`)));
    }
    return this.goldenRows.get(file);
  }

  /** Return the length of a variant's vectors. */
  dim(name) {
    return this.manifest.variants[name].dim ?? this.manifest.dim;
  }

  files(name) {
    const variant = this.manifest.variants[name];
    return [variant.file, ...variant.data_files];
  }
}

class Encoder {
  constructor(name, session, bundle) {
    this.name = name;
    this.session = session;
    this.bundle = bundle;
  }

  /**
   * Return the vector of a text: Float32Array [dim], of unit length where the model gives that.
   *
   * Options: `prompt` or `promptName`, as in `Bundle.ids`; `truncateDim` keeps that many leading numbers; `normalize`
   * brings what is left to unit length.
   */
  async encode(text, { prompt, promptName, truncateDim, normalize = false } = {}) {
    if (truncateDim !== undefined && !(Number.isInteger(truncateDim) && truncateDim > 0))
      throw new BundleError(`truncateDim ${truncateDim}: must be a whole number above 0`);
    const { Tensor } = this.bundle.backend;
    const found = this.bundle.ids(text, { prompt, promptName });
    const ids = BigInt64Array.from(found.length ? found : [this.bundle.manifest.pad_token_id], BigInt);
    const mask = new BigInt64Array(ids.length).fill(found.length ? 1n : 0n); // a table gives an empty text no token
    mask.fill(2n, 0, Math.min(found.length, this.bundle.unpooled({ prompt, promptName })));
    const shape = [1, ids.length];
    const feeds = { input_ids: new Tensor("int64", ids, shape), attention_mask: new Tensor("int64", mask, shape) };
    const output = (await this.session.run(feeds, [POOLED]))[POOLED];
    const vector = Float32Array.from(output.data);
    const dim = this.bundle.dim(this.name);
    if (vector.length !== dim || !vector.every(Number.isFinite))
      throw new BundleError(`variant ${this.name}: gave ${vector.length} values, not ${dim} finite numbers`);
    const kept = vector.slice(0, truncateDim ?? dim);
    return normalize ? unit(kept) : kept;
  }

  /** Give the session's memory back. */
  release() {
    return this.session.release();
  }
}

export { dot };

/** Return an error's message without the stack or the lines below it. */
export function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0];
}

/** Return the manifest in these bytes. Throws BundleError for one that is malformed or written by a newer release. */
export function readManifest(bytes) {
  const manifest = parse(bytes, "mirrorkit.json");
  const bad = (what) => new BundleError(`mirrorkit.json: ${what}`);
  const version = manifest?.schema_version;
  if (!Number.isInteger(version) || version < 1) throw bad("no schema_version in it");
  if (version > SCHEMA_VERSION) throw bad(`schema ${version}, this page reads up to ${SCHEMA_VERSION}`);
  try {
    checkManifest(manifest);
  } catch (error) {
    throw bad(firstLine(error));
  }
  return manifest;
}

/** Throw BundleError where a graph names files of weights other than those that the manifest names with it, as ONNX
 * Runtime would open them itself. */
export function checkGraph({ file, data_files: more }, bytes) {
  const folder = file.slice(0, file.lastIndexOf("/") + 1);
  try {
    checkGraphPaths(bytes, more.filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length)));
  } catch (error) {
    throw new BundleError(`${file}: ${firstLine(error)}`);
  }
}

/** Return path -> Uint8Array, each held to the size and, where there is Web Crypto, the SHA-256 on record. */
async function readFiles(read, manifest, paths) {
  const found = new Map();
  for (const path of paths) {
    if (!Object.hasOwn(manifest.files, path)) throw new BundleError(`${path}: not among the files of mirrorkit.json`);
    const record = manifest.files[path];
    const bytes = await read(path);
    if (bytes.byteLength !== record.bytes)
      throw new BundleError(`${path}: has ${bytes.byteLength} bytes, mirrorkit.json says ${record.bytes}`);
    if (globalThis.crypto?.subtle && (await sha256(bytes)) !== record.sha256)
      throw new BundleError(`${path}: changed or damaged (its SHA-256 is not the one in mirrorkit.json)`);
    found.set(path, bytes);
  }
  return found;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function parse(content, name) {
  try {
    return typeof content === "string" ? JSON.parse(content) : parseJson(content);
  } catch (error) {
    throw new BundleError(`${name}: not readable as JSON (${firstLine(error)})`, { cause: error });
  }
}

/**
 * Return a function that does to a text what the tokenizer package leaves out: it takes no character above U+FFFF for
 * Chinese, and lowercases a Σ that ends a word to ς, as JavaScript does and `tokenizers` does not.
 */
function preparing(normalizer) {
  const steps = normalizer?.type === "Sequence" ? normalizer.normalizers : [normalizer];
  const bert = steps.find((step) => step?.type === "BertNormalizer");
  const lowers = bert?.lowercase || steps.some((step) => step?.type === "Lowercase");
  const chinese = /[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;
  return (text) => {
    const spaced = bert?.handle_chinese_chars ? text.replace(chinese, " $& ") : text;
    return lowers ? spaced.replaceAll("Σ", "σ") : spaced;
  };
}

/** Return `{ ids(text), isSpecial(id) }`. The tokenizer does not cut by itself; a cut, at the end of a text or at its
 * `left`, spares the special tokens around it. */
function toIds(Tokenizer, [tokenizerJson, config], maxLength, side) {
  let encode, lead, tail;
  try {
    const tokenizer = new Tokenizer(tokenizerJson, config);
    const prepare = preparing(tokenizerJson.normalizer);
    encode = (text) => tokenizer.encode(prepare(text)).ids;
    const whole = encode("a");
    const inner = tokenizer.encode("a", { add_special_tokens: false }).ids;
    lead = whole.findIndex((_, i) => inner.every((id, j) => whole[i + j] === id));
    tail = whole.length - lead - inner.length;
    if (!inner.length || lead < 0) throw new Error("its special tokens cannot be told from the others");
  } catch (error) {
    throw new BundleError(`tokenizer.json: cannot be used (${firstLine(error)})`, { cause: error });
  }
  const special = new Set((tokenizerJson.added_tokens ?? []).filter((token) => token.special).map(({ id }) => id));
  const cut = (ids) =>
    side === "left"
      ? [...ids.slice(0, lead), ...ids.slice(ids.length - (maxLength - lead))]
      : [...ids.slice(0, maxLength - tail), ...ids.slice(ids.length - tail)];
  const ids = (text) => {
    const all = encode(text.replace(/\p{Surrogate}/gu, "\ufffd")); // lone ones alone: no characters, as in Python
    return all.length <= maxLength ? all : cut(all);
  };
  return { ids, isSpecial: (id) => special.has(id) };
}
