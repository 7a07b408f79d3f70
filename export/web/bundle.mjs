// A bundle in JavaScript: text in, vectors out. The graph pools and normalises, so nothing here does.
// It knows neither browser nor node: whoever opens a bundle says how to read its files and how to start a session.

const SCHEMA_VERSION = 1;
const POOLED = "sentence_embedding";

export class BundleError extends Error {
  name = "BundleError";
}

/**
 * Open the bundle whose files `read(path)` gives as Uint8Array.
 *
 * `backend` is `{ Tensor, start(variant, bytes) }`: the tensor class of onnxruntime-web or onnxruntime-node, and a
 * function that makes an InferenceSession of `manifest.variants[name]`, `bytes` being its files by path.
 * `Tokenizer` is the class of @huggingface/tokenizers. Throws BundleError for a folder that cannot be used.
 */
export async function openBundle({ read, backend, Tokenizer }) {
  const manifest = checked(parse(await read("mirrorkit.json"), "mirrorkit.json"));
  const bytes = await readFiles(read, manifest, ["tokenizer.json", "tokenizer_config.json"]);
  const settings = [...bytes].map(([path, content]) => parse(content, path));
  return new Bundle(manifest, read, backend, toIds(Tokenizer, settings, manifest.max_length));
}

class Bundle {
  constructor(manifest, read, backend, ids) {
    this.manifest = manifest;
    this.ids = ids; // text -> its token ids, special ones included, cut to max_length
    this.read = read;
    this.backend = backend;
  }

  /** Return the precisions and graphs there are: the keys of `manifest.variants`. */
  get variants() {
    return Object.keys(this.manifest.variants);
  }

  /** Return how many bytes a variant's files have. */
  size(name) {
    return this.files(name).reduce((sum, path) => sum + this.manifest.files[path].bytes, 0);
  }

  /** Return an Encoder of the variant: `fp32`, `int8` or another of `variants`. */
  async encoder(name) {
    const variant = this.manifest.variants[name];
    if (!variant) throw new BundleError(`variant ${name}: this bundle holds ${this.variants.join(", ") || "none"}`);
    const bytes = await readFiles(this.read, this.manifest, this.files(name));
    let session;
    try {
      session = await this.backend.start(variant, bytes);
    } catch (error) {
      throw new BundleError(`${variant.file}: does not run here (${firstLine(error)})`, { cause: error });
    }
    return new Encoder(name, session, this);
  }

  /** Return the lines of golden.jsonl: `{ text, input_ids, embedding }`, what every runtime must reproduce. */
  async golden() {
    if (!this.goldenRows) {
      const bytes = await readFiles(this.read, this.manifest, ["golden.jsonl"]);
      const lines = new TextDecoder().decode(bytes.get("golden.jsonl")).split("\n").filter(Boolean);
      if (!lines.length) throw new BundleError("golden.jsonl: no texts in it");
      this.goldenRows = lines.map((line, i) => parse(line, `golden.jsonl, line ${i + 1}`));
    }
    return this.goldenRows;
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

  /** Return the unit-length vector of a text: Float32Array [dim]. */
  async encode(text) {
    const { Tensor } = this.bundle.backend;
    const ids = BigInt64Array.from(this.bundle.ids(text), BigInt);
    const shape = [1, ids.length];
    const feeds = {
      input_ids: new Tensor("int64", ids, shape),
      attention_mask: new Tensor("int64", new BigInt64Array(ids.length).fill(1n), shape),
    };
    const output = (await this.session.run(feeds, [POOLED]))[POOLED];
    const vector = Float32Array.from(output.data);
    const { dim } = this.bundle.manifest;
    if (vector.length !== dim || !vector.every(Number.isFinite))
      throw new BundleError(`variant ${this.name}: gave ${vector.length} values, not ${dim} finite numbers`);
    return vector;
  }

  /** Give the session's memory back. */
  release() {
    return this.session.release();
  }
}

/** Return the dot product: the cosine, where both have length 1. */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Return an error's message without the stack or the lines below it. */
export function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0];
}

function checked(manifest) {
  const bad = (what) => new BundleError(`mirrorkit.json: ${what}`);
  const version = manifest?.schema_version;
  if (!Number.isInteger(version)) throw bad("no schema_version in it");
  if (version > SCHEMA_VERSION) throw bad(`schema ${version}, this page reads up to ${SCHEMA_VERSION}`);
  for (const key of ["dim", "max_length"])
    if (!(Number.isInteger(manifest[key]) && manifest[key] > 0)) throw bad(`${key} must be a whole number above 0`);
  if (manifest.pooling === "mean-padded") throw bad("pooling mean-padded needs padding that is not added here");
  const { variants, files } = manifest;
  if (!variants || !files || !Object.keys(variants).length) throw bad("no variants or no files in it");
  for (const [name, { file, data_files: more }] of Object.entries(variants))
    for (const path of [file, ...more])
      if (!Object.hasOwn(files, path)) throw bad(`variant ${name} needs ${path}, which is not among its files`);
  return manifest;
}

/** Return path -> Uint8Array, each held to the size and, where there is Web Crypto, the SHA-256 on record. */
async function readFiles(read, manifest, paths) {
  const found = new Map();
  for (const path of paths) {
    const record = manifest.files[path];
    if (!record) throw new BundleError(`${path}: not among the files of mirrorkit.json`);
    if (path.split(/[/\\]/).includes("..") || /^[/\\]|:/.test(path))
      throw new BundleError(`${path}: leads out of the bundle`);
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
    return JSON.parse(typeof content === "string" ? content : new TextDecoder().decode(content));
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

/** Return the function text -> ids. The tokenizer does not cut by itself; a cut spares the closing special tokens. */
function toIds(Tokenizer, [tokenizerJson, config], maxLength) {
  let encode, tail;
  try {
    const tokenizer = new Tokenizer(tokenizerJson, config);
    const prepare = preparing(tokenizerJson.normalizer);
    encode = (text) => tokenizer.encode(prepare(text)).ids;
    const whole = encode("a");
    const inner = tokenizer.encode("a", { add_special_tokens: false }).ids;
    const lead = whole.findIndex((_, i) => inner.every((id, j) => whole[i + j] === id));
    tail = whole.length - lead - inner.length;
    if (!inner.length || lead < 0) throw new Error("its special tokens cannot be told from the others");
  } catch (error) {
    throw new BundleError(`tokenizer.json: cannot be used (${firstLine(error)})`, { cause: error });
  }
  return (text) => {
    const ids = encode(text.replace(/\p{Surrogate}/gu, "\ufffd")); // lone ones alone: no characters, as in Python
    return ids.length <= maxLength ? ids : [...ids.slice(0, maxLength - tail), ...ids.slice(ids.length - tail)];
  };
}
