// node gpu.mjs < JOB: the package's WebGPU entry over a GPU that is made up: what it chooses, and what it says.
// `{ place, adapter, gives, options, quiet, abortAtRun }`: the adapter's features or null; `right`, `wrong`, `nothing`
// (NaN) or `refuses`.
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { MirrorkitError, openBundle } from "mirrorkit/webgpu";
import { InferenceSession, Tensor } from "onnxruntime-node";

const { place, adapter, gives, options, quiet, abortAtRun } = JSON.parse(await text(process.stdin));
const gpu = { requestAdapter: async () => adapter && { features: new Set(adapter) } };
Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });

const control = new AbortController();
const started = [];
const released = [];
let runs = 0;
const spoil = { right: (value) => value, wrong: (value, i) => value + (i % 2 ? 0.5 : -0.5), nothing: () => NaN };
const ort = {
  env: { wasm: {} },
  Tensor,
  InferenceSession: {
    async create(bytes, { executionProviders: [provider], externalData }) {
      started.push(provider);
      if (provider === "webgpu" && gives === "refuses") throw new Error("the shader does not compile\nat line 7");
      const session = await InferenceSession.create(bytes, { externalData });
      if (provider === "wasm") return session;
      const run = async (feeds, names) => {
        if (++runs === abortAtRun) control.abort();
        const { sentence_embedding: found } = await session.run(feeds, names);
        return { sentence_embedding: { data: found.data.map(spoil[gives]) } };
      };
      return { run, release: () => (released.push(provider), session.release()) };
    },
  },
};
const wasm = new URL("./node_modules/mirrorkit/wasm/tokenizer.wasm", import.meta.url); // which no page reads as a file
const tokenizer = await WebAssembly.compile(await readFile(wasm));
const told = [];
const warned = [];
console.warn = (line) => warned.push(line);
const onFallback = quiet ? undefined : (what) => told.push(what);
const all = { ...options, ort, tokenizer, onFallback, signal: control.signal };
let said;
try {
  const encoder = await openBundle(place, all);
  const [vector] = await encoder.encode("How do I reset my password?");
  said = { provider: encoder.provider, variant: encoder.variant, vector: Array.from(vector) };
} catch (error) {
  said = { error: error.message, kind: error.name, ours: error instanceof MirrorkitError };
}
console.log(JSON.stringify({ ...said, told, warned, started, released }));
