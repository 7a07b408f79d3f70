// Texts in, vectors out, by one graph. The graph pools and normalises, so nothing here does.
import { batches, padded } from "./batches.mjs";
import { MirrorkitError, firstLine, shown } from "./errors.mjs";
import { canHash } from "./files.mjs";
import { check } from "./golden.mjs";
import { unit } from "./usage.mjs";

const POOLED = "sentence_embedding";
const BATCH_TOKENS = 512; // of a run, padding included; runtime/runner.py has the same for a processor
const STRETCH = 256; // texts that are cut into tokens before others get a turn

export class Encoder {
  #bundle;
  #name;
  #session;
  #backend;
  #work = Promise.resolve(); // one run at a time: not every backend takes two
  #closed = false;

  constructor({ bundle, name, session, backend, fingerprint }) {
    this.#bundle = bundle;
    this.#name = name;
    this.#session = session;
    this.#backend = backend;
    this.fingerprint = fingerprint;
    this.verified = canHash();
  }

  /** Numbers in a vector. */
  get dim() {
    return this.#bundle.dim(this.#name);
  }

  /** Tokens of a text, special ones included, behind which it is cut. */
  get maxLength() {
    return this.#bundle.manifest.max_length;
  }

  /** Name of the graph: `int8`, `fp32-fused`, … */
  get variant() {
    return this.#name;
  }

  /** What runs it: `cpu`, `wasm`, `webgpu`. */
  get provider() {
    return this.#backend.provider;
  }

  /** The Bundle that it is of. */
  get bundle() {
    return this.#bundle;
  }

  /** Return the token ids of a text behind its prompt, special ones included, cut to maxLength. */
  ids(text, options) {
    return this.#bundle.ids(text, options);
  }

  /** Return how alike two vectors are by the model's own function; a distance is below zero. */
  similarity(a, b) {
    return this.#bundle.similarity(a, b);
  }

  /** Hold every golden text against its vector, see golden.mjs. */
  check(options) {
    return check(this, options);
  }

  /**
   * Return the vectors of a text or of several, in their order: Float32Array [dim] each, of unit length where the
   * model gives that. `signal` ends it between two batches, with the signal's reason.
   */
  async encode(texts, { prompt, promptName, truncateDim, normalize, batchTokens, signal, onProgress } = {}) {
    signal?.throwIfAborted();
    this.#checkOpen();
    const list = listOf(texts);
    wholeAboveZero({ truncateDim, batchTokens });
    const finish = this.#finishing(truncateDim, normalize);
    const before = this.#bundle.prompt({ prompt, promptName });
    const ids = await this.#cutIntoTokens(list, before, signal);
    const unpooled = this.#bundle.unpooled(before);
    const vectors = new Array(list.length);
    let done = 0;
    const budget = batchTokens ?? this.#backend.batchTokens ?? BATCH_TOKENS;
    for (const rows of batches(ids.map((one) => one.length), budget)) {
      if (done) await turn(); // an abort, or a click, that came meanwhile
      signal?.throwIfAborted();
      const found = await this.#inTurn(() => this.#run(rows.map((row) => ids[row]), unpooled));
      for (const [i, row] of rows.entries()) vectors[row] = finish(found[i]);
      done += rows.length;
      onProgress?.({ done, total: list.length });
    }
    signal?.throwIfAborted();
    return vectors;
  }

  /** Give the memory back, when what runs is done. An encoder that is closed encodes no more. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    await this.#work;
    await this.#session.release();
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.close();
  }

  #checkOpen() {
    if (this.#closed) throw new MirrorkitError("the encoder is closed");
  }

  async #cutIntoTokens(texts, before, signal) {
    const ids = [];
    for (let start = 0; start < texts.length; start += STRETCH) {
      if (start) await turn();
      signal?.throwIfAborted();
      ids.push(...this.#bundle.tokenizer.encode(texts.slice(start, start + STRETCH), before));
    }
    return ids;
  }

  /** Return what brings a vector of the graph to what was asked for: mirrorkit/runtime/encoding.py, the same rules. */
  #finishing(truncateDim, normalize) {
    const { usage } = this.#bundle;
    if (normalize !== undefined && typeof normalize !== "boolean")
      throw new MirrorkitError(`normalize ${shown(normalize)}: must be true or false`);
    if (normalize === false && usage.normalized)
      throw new MirrorkitError("normalize false: the graph of this bundle normalises, so its own lengths are lost");
    const kept = Math.min(truncateDim ?? this.dim, this.dim);
    const brings = normalize === true && (kept < this.dim || !usage.normalized);
    return (vector) => (brings ? unit(vector.slice(0, kept)) : vector.slice(0, kept));
  }

  #inTurn(job) {
    const mine = this.#work.then(job);
    this.#work = mine.catch(() => {});
    return mine;
  }

  /** Return a view of each text's vector, given the texts' ids. */
  async #run(texts, unpooled) {
    this.#checkOpen();
    const { Tensor } = this.#backend;
    const { pad_token_id: padId } = this.#bundle.manifest;
    const { dim } = this; // the variant's own, which `static` has
    const { ids, mask, shape } = padded(texts, padId, unpooled);
    const feeds = { input_ids: new Tensor("int64", ids, shape), attention_mask: new Tensor("int64", mask, shape) };
    let data;
    try {
      data = (await this.#session.run(feeds, [POOLED]))[POOLED]?.data;
    } catch (error) {
      const what = `failed on ${shape.join(" × ")} tokens (${firstLine(error)})`;
      throw new MirrorkitError(`variant ${this.variant}: ${what}`, { cause: error });
    }
    const gave = (what) => new MirrorkitError(`variant ${this.variant}: gave ${what}`);
    if (data === undefined) throw gave(`no ${POOLED}: ONNX Runtime must be of release 1.24 or later`);
    if (data.length !== texts.length * dim) throw gave(`${data.length} numbers, not ${texts.length} × ${dim}`);
    if (!data.every(Number.isFinite)) throw gave("numbers that are not finite");
    return texts.map((_, row) => Float32Array.from(data.subarray(row * dim, (row + 1) * dim)));
  }
}

function listOf(texts) {
  if (typeof texts === "string") return [texts];
  if (!Array.isArray(texts))
    throw new MirrorkitError(`texts: must be a string or an array of strings, not ${shown(texts)}`);
  const wrong = texts.findIndex((text) => typeof text !== "string");
  if (wrong >= 0) throw new MirrorkitError(`texts[${wrong}]: must be a string, not ${shown(texts[wrong])}`);
  return texts;
}

function wholeAboveZero(options) {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !(Number.isInteger(value) && value > 0))
      throw new MirrorkitError(`${name} ${shown(value)}: must be a whole number above 0`);
}

/** Let what waits have a turn. A timer would be held back by four milliseconds after the first few. */
function turn() {
  if (globalThis.setImmediate) return new Promise((done) => setImmediate(done));
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), done());
    port2.postMessage(0);
  });
}
