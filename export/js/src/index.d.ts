// Types of the package, written by hand; tests/web holds them to what the modules export and give.

/** How far opening is: bytes that have come, of all that are needed. A fallback to another graph adds to `total`. */
export interface LoadProgress {
  /** The file that comes now, relative to the bundle. */
  file: string;
  loaded: number;
  total: number;
}

/** How far encoding is: texts that are done, of all. */
export interface EncodeProgress {
  done: number;
  total: number;
}

/** What was to run the graph, what runs it instead, and why. */
export interface Fallback {
  provider: string;
  instead: string;
  variant: string;
  reason: string;
}

export interface ManifestOptions {
  /** Ends it; what was awaited is rejected with the signal's reason. */
  signal?: AbortSignal;
  onProgress?: (progress: LoadProgress) => void;
  /** Threads of ONNX Runtime (1). In browsers more need a page that is cross-origin isolated. */
  threads?: number;
  /** In browsers: keep files in the Cache API, under their SHA-256 (true). */
  cache?: boolean;
  /** In browsers `wasm`, `webgpu` (else WebAssembly, which `onFallback` is told) or `auto` (`webgpu` where there is an
   * adapter); the last two need `mirrorkit/webgpu`. In node `cpu`. */
  provider?: "wasm" | "webgpu" | "auto" | "cpu";
  /** ONNX Runtime where you have loaded it yourself, as a worker without a bundler must: no import map reaches it. */
  ort?: { InferenceSession: object; Tensor: object };
  /** wasm/tokenizer.wasm of this package, compiled: a WebAssembly.Module, where a bundler leaves the file behind. */
  tokenizer?: object;
}

export interface OpenOptions extends ManifestOptions {
  /** `auto` (the bundle's own choice for where it runs), a precision, the name of a variant or its file. */
  variant?: string;
  /** Told where another provider had to do; without it console.warn is. */
  onFallback?: (fallback: Fallback) => void;
}

export interface PromptOptions {
  /** Put before each text. */
  prompt?: string;
  /** The bundle's prompt of this name, where there is no `prompt`; else its default one. */
  promptName?: string;
}

export interface EncodeOptions extends PromptOptions {
  /** Keep that many leading numbers. */
  truncateDim?: number;
  /** Bring what is left to unit length. Without it a vector is as the model gives it. */
  normalize?: boolean;
  /** Tokens of a batch, padding included (512, on a GPU 4096). */
  batchTokens?: number;
  /** Ends it between two batches; the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
  onProgress?: (progress: EncodeProgress) => void;
}

/** How near a graph is to the vectors that the bundle was published with. */
export interface CheckResult {
  variant: string;
  ok: boolean;
  texts: number;
  /** Texts that a quantised graph is not judged by: they say one token over and over. */
  leftOut: number;
  /** Texts whose token ids are not Python's. There must be none. */
  idsDiffer: number;
  /** The largest of any component. */
  difference: number;
  cosine: number;
  allowed: { difference: number; cosine: number };
  /** The text with that difference. */
  text: string;
  /** Mean for one text. */
  milliseconds: number;
}

/** One graph that turns texts into vectors. Calls may overlap: their batches take turns. */
export interface Encoder {
  /** Numbers in a vector. */
  readonly dim: number;
  /** Tokens of a text, special ones included, behind which it is cut. */
  readonly maxLength: number;
  /** Name of the graph: `int8`, `fp32-fused`, … */
  readonly variant: string;
  /** What runs it: `cpu`, `wasm` or `webgpu`. */
  readonly provider: string;
  /** Python's `Encoder.fingerprint`; undefined where files cannot be hashed (browsers do it on https and localhost). */
  readonly fingerprint: string | undefined;
  /** Whether every file was held to its SHA-256. */
  readonly verified: boolean;
  /** The bundle that it is of. */
  readonly bundle: Bundle;
  /** Return a vector of `dim` numbers for each text, in their order. */
  encode(texts: string | readonly string[], options?: EncodeOptions): Promise<Float32Array[]>;
  /** Return the token ids of a text behind its prompt, special ones included, cut to `maxLength`. */
  ids(text: string, options?: PromptOptions): number[];
  /** Return how alike two vectors are by the model's own function; a distance is below zero. */
  similarity(a: Float32Array, b: Float32Array): number;
  /** Hold every golden text against its vector. */
  check(options?: { signal?: AbortSignal; onProgress?: (progress: EncodeProgress) => void }): Promise<CheckResult>;
  /** Give the memory back, when what runs is done. */
  close(): Promise<void>;
}

/** A bundle of which encoders are opened one by one. */
export interface Bundle {
  /** mirrorkit.json, checked. */
  readonly manifest: Readonly<Record<string, any>>;
  readonly variants: string[];
  /** Return how many bytes the files of a variant have. */
  size(variant: string): number;
  /** Return which variant `wanted` comes to here. */
  choose(wanted: string): string;
  ids(text: string, options?: PromptOptions): number[];
  similarity(a: Float32Array, b: Float32Array): number;
  /** Return an encoder; `exact` takes the variant of this very name, where another graph of its precision is faster. */
  encoder(
    variant?: string,
    options?: Pick<OpenOptions, "signal" | "onProgress" | "onFallback"> & { exact?: boolean },
  ): Promise<Encoder>;
  /** Return the golden texts, with Python's token ids and the fp32 vectors. */
  golden(): Promise<{ text: string; input_ids: number[]; embedding: number[] }[]>;
  /** Return the golden texts whose token ids are others here. There must be none. */
  textsWithOtherIds(): Promise<string[]>;
}

/** What is wrong with a bundle, an option or a machine, in one line. */
export class MirrorkitError extends Error {}

/**
 * Open a bundle, hold its files to their SHA-256 and its tokenizer to the golden texts' ids, and return an encoder.
 *
 * `place` is a folder (node) or an address, relative to the page's or worker's own. Throws MirrorkitError.
 */
export function openBundle(place: string | URL, options?: OpenOptions): Promise<Encoder>;

/** Open a bundle without a graph, and without the comparison of ids: encoders of several variants, one by one. */
export function openManifest(place: string | URL, options?: ManifestOptions): Promise<Bundle>;
