// A bundle: its manifest, its tokenizer, and the encoders that its graphs make. It knows neither browser nor node:
// whoever opens it says how to read its files (`source`) and what runs its graphs (`backends`).
import { Encoder } from "./encoder.mjs";
import { MirrorkitError, firstLine, shown } from "./errors.mjs";
import { Meter, checkGraph, parse, readFiles, readManifest } from "./files.mjs";
import { fingerprintOf } from "./fingerprint.mjs";
import { textsWithOtherIds } from "./golden.mjs";
import { startFirst } from "./start.mjs";
import { Tokenizer } from "./tokenizer.mjs";
import { promptOf, readUsage, similarityOf } from "./usage.mjs";

const TOKENIZER = "tokenizer.json";
const GOLDEN = "golden.jsonl";
// Of bundles that were written before they told it: PREFERENCE of mirrorkit/formats/bundle.py. A GPU has no list there:
// int8 as it is stored here would be computed beside it.
const USUAL_PREFERENCE = {
  cpu: ["int8-fused", "int8", "fp32-fused", "fp32", "fp16", "int4"],
  wasm: ["int8", "int8-fused", "fp16", "fp32", "fp32-fused", "int4"],
  webgpu: ["fp16", "fp32", "int4"],
};

/** Open a bundle, compare the token ids of its golden texts, and return an Encoder of its best variant. */
export async function openEncoder(platform, options = {}) {
  const { variant = "auto", signal, onProgress, onFallback } = options;
  const meter = new Meter({ onProgress, signal });
  const bundle = await open(platform, meter, variant);
  const wrong = await bundle.textsWithOtherIds(meter);
  if (wrong.length) {
    const all = (await bundle.golden()).length;
    throw new MirrorkitError(`tokenizer.json gives other ids here for ${wrong.length} golden texts of ${all}`);
  }
  return startFirst(bundle, variant, { meter, onFallback });
}

/** Open a bundle without a graph: what is in it, its token ids; encoders one by one. */
export function openManifest(platform, { signal, onProgress } = {}) {
  return open(platform, new Meter({ onProgress, signal }));
}

async function open({ source, backends, loadTokenizer }, meter, variant) {
  meter.signal?.throwIfAborted();
  const manifest = readManifest(await source.read("mirrorkit.json", { meter }));
  await leaveOutAbsent(manifest, source);
  const bundle = new Bundle(manifest, source, backends);
  if (variant !== undefined) {
    const name = bundle.choose(variant, await firstHere(backends));
    meter.expect(manifest, [TOKENIZER, GOLDEN, ...bundle.files(name)]); // so that `total` is right from the start
  }
  const module = await loadTokenizer();
  const bytes = await readFiles(source, manifest, [TOKENIZER], meter);
  const cut = { maxLength: manifest.max_length, side: bundle.usage.side };
  bundle.tokenizer = await Tokenizer.open(module, bytes.get(TOKENIZER), cut);
  return bundle;
}

async function firstHere(backends) {
  for (const { get } of backends) {
    const backend = await get().catch(() => null); // start.mjs tells why
    if (backend !== null) return backend;
  }
  return undefined;
}

/** Take out the variants of which a file is not here, where the source can tell: a bundle may be kept in part. */
async function leaveOutAbsent({ variants }, source) {
  if (!source.has) return;
  for (const [name, { file, data_files: more }] of Object.entries(variants)) {
    const here = await Promise.all([file, ...more].map((path) => source.has(path)));
    if (here.includes(false)) delete variants[name];
  }
}

export class Bundle {
  constructor(manifest, source, backends) {
    this.manifest = manifest;
    this.source = source;
    this.backends = backends; // what may run a graph, the wanted one first, the last one always there
    this.usage = readUsage(manifest); // prompts, and what can be said of the vectors
    this.tokenizer = undefined;
    this.goldenRows = new Map(); // by file
  }

  /** Return the token ids of a text behind its prompt, special ones included, cut to max_length. */
  ids(text, options) {
    if (typeof text !== "string") throw new MirrorkitError(`text: must be a string, not ${shown(text)}`);
    return Array.from(this.tokenizer.encode([text], this.prompt(options))[0]);
  }

  /** Return what stands before a text; throws MirrorkitError for a name that is none of the prompts. */
  prompt(options) {
    try {
      return promptOf(this.usage, options);
    } catch (error) {
      throw new MirrorkitError(firstLine(error));
    }
  }

  /** Return how many ids of a prompt are attended to and not pooled. */
  unpooled(prompt) {
    if (this.usage.includePrompt || !prompt) return 0;
    return this.tokenizer.promptLength(prompt);
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

  /** Return the name of the best variant for `auto` or a precision, else the one of that name or file. Which is best on
   * a device mirrorkit.json says, in its field `preference`; `without` are precisions that the device does not have. */
  choose(wanted, backend) {
    const { device, without = [] } = backend ?? { device: this.backends.at(-1).name };
    const { variants, preference = {} } = this.manifest;
    const names = Object.hasOwn(preference, device) ? preference[device] : USUAL_PREFERENCE[device];
    const fits = (name) =>
      Object.hasOwn(variants, name) &&
      !without.includes(variants[name].precision) &&
      (wanted === "auto" || wanted === variants[name].precision);
    const name = names.find(fits) ?? this.variants.find((one) => variants[one].file === wanted) ?? wanted;
    this.#checkName(name);
    return name;
  }

  #checkName(name) {
    if (!Object.hasOwn(this.manifest.variants, name))
      throw new MirrorkitError(`variant ${shown(name)}: this bundle holds ${this.variants.join(", ") || "none"}`);
  }

  /** Return an Encoder of the variant that `choose` finds for `wanted`: `auto`, `fp32`, `int8`, …; with `exact` of the
   * one of this very name, where another graph of its precision is the faster one. */
  async encoder(wanted = "auto", { exact = false, signal, onProgress, onFallback } = {}) {
    if (exact) this.#checkName(wanted);
    const name = exact ? this.manifest.variants[wanted].file : wanted;
    return startFirst(this, name, { meter: new Meter({ onProgress, signal }), onFallback });
  }

  /** Return the files of a variant, checked, by path. */
  async read(name, meter) {
    const bytes = await readFiles(this.source, this.manifest, this.files(name), meter);
    checkGraph(this.manifest.variants[name], bytes.get(this.manifest.variants[name].file));
    return bytes;
  }

  /** Return an Encoder of this variant, whose files have been read, that runs on this backend. */
  async start(name, bytes, backend) {
    const variant = this.manifest.variants[name];
    const fingerprint = await fingerprintOf(this.manifest, this.usage, name);
    let session;
    try {
      session = await backend.start(variant, bytes);
    } catch (error) {
      throw new MirrorkitError(`${variant.file}: does not run here (${firstLine(error)})`, { cause: error });
    }
    return new Encoder({ bundle: this, name, session, backend, fingerprint });
  }

  /** Return the golden texts of a variant, those of all but the static one without a name:
   * `{ text, input_ids, embedding }`, what every runtime must reproduce. */
  async golden(name, meter = new Meter()) {
    const file = this.manifest.variants[name]?.golden ?? GOLDEN;
    if (!this.goldenRows.has(file)) {
      const bytes = await readFiles(this.source, this.manifest, [file], meter);
      const lines = new TextDecoder().decode(bytes.get(file)).split("\n").filter(Boolean);
      if (!lines.length) throw new MirrorkitError(`${file}: no texts in it`);
      this.goldenRows.set(
        file,
        lines.map((line, i) => goldenRow(parse(line, `${file}, line ${i + 1}`), file, i + 1)),
      );
    }
    return this.goldenRows.get(file);
  }

  /** Return the length of a variant's vectors. */
  dim(name) {
    return this.manifest.variants[name].dim ?? this.manifest.dim;
  }

  /** Return the golden texts whose token ids are others here than in Python. */
  async textsWithOtherIds(meter) {
    await this.golden(undefined, meter);
    return textsWithOtherIds(this);
  }

  files(name) {
    const { file, data_files: more } = this.manifest.variants[name];
    return [file, ...more];
  }
}

function goldenRow(row, file, number) {
  const { text, input_ids: ids, embedding } = row ?? {};
  if (typeof text !== "string" || !Array.isArray(ids) || !Array.isArray(embedding))
    throw new MirrorkitError(`${file}, line ${number}: must have text, input_ids and embedding`);
  return row;
}
