// The page's encoder, in a worker of its own: loading and encoding never hold up the page.
// The page sends `{ id, call, args }`; what comes back is `{ id, progress }` while it goes on, then `{ id, result }` or
// `{ id, error }`. No import map reaches a worker, so what the package would import by name is handed to it.
const MAKE = "make this folder with: bash export/web/setup BUNDLE OUT_DIR";
const WASM = "vendor/ort-wasm-simd-threaded.wasm";
const TOKENIZER = "vendor/mirrorkit/wasm/tokenizer.wasm";

let bundle, encoder;
const vectors = new Map(); // text -> vector of the encoder in use

const calls = {
  /** Load ONNX Runtime, the tokenizer and the bundle's settings, and say what there is. */
  async load(wanted, onProgress) {
    const start = performance.now();
    const names = ["mirrorkit/src/browser.mjs", "ort.wasm.bundle.min.mjs"];
    const parts = await Promise.all([read(WASM), read(TOKENIZER), ...names.map(script)]);
    const [wasm, tokenizerWasm, { openManifest }, ort] = parts;
    const tokenizer = await WebAssembly.compile(tokenizerWasm);
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = 1; // more need headers that a plain static server does not send
    const ready = performance.now();
    let settingsBytes = 0;
    const count = ({ loaded }) => onProgress((settingsBytes = loaded));
    bundle = await openManifest("bundle", { ort, tokenizer, onProgress: count });
    const manifestBytes = (await read("bundle/mirrorkit.json")).byteLength;
    const idsDiffer = (await bundle.textsWithOtherIds()).length;
    const { architecture, dim, max_length: length, files } = bundle.manifest;
    return {
      about: { architecture, dim, length },
      variants: bundle.variants.map((name) => ({ name, bytes: bundle.size(name) })),
      chosen: bundle.choose(wanted),
      goldens: { texts: (await bundle.golden()).length, idsDiffer },
      sizes: { runtime: wasm.byteLength, settings: settingsBytes + tokenizerWasm.byteLength + manifestBytes + files["golden.jsonl"].bytes },
      seconds: { runtime: (ready - start) / 1000, settings: (performance.now() - ready) / 1000 },
      scripts: performance.getEntriesByType("resource").map(({ name }) => name),
    };
  },

  /** Encode by this graph from now on. */
  async choose(name, onProgress) {
    await encoder?.close();
    encoder = undefined;
    vectors.clear();
    const start = performance.now();
    encoder = await bundle.encoder(name, { exact: true, onProgress });
    return { seconds: (performance.now() - start) / 1000 };
  },

  /** Say how alike each pair of texts is, encoding those that are new. */
  async embed(texts) {
    const start = performance.now();
    const fresh = [...new Set(texts)].filter((text) => !vectors.has(text));
    const found = await encoder.encode(fresh);
    for (const [i, text] of fresh.entries()) vectors.set(text, found[i]);
    const milliseconds = (performance.now() - start) / fresh.length;
    const alike = (a, b) => bundle.similarity(vectors.get(a), vectors.get(b));
    return { similarities: texts.map((a) => texts.map((b) => alike(a, b))), fresh: fresh.length, milliseconds };
  },

  /** Hold a graph against the golden texts. */
  async check(name, onProgress) {
    const tried = await bundle.encoder(name, { exact: true });
    try {
      return await tried.check({ onProgress });
    } finally {
      await tried.close();
    }
  },
};

self.onmessage = async ({ data: { id, call, args } }) => {
  try {
    const onProgress = (progress) => self.postMessage({ id, progress });
    self.postMessage({ id, result: await calls[call](args, onProgress) });
  } catch (error) {
    const isKnown = error?.name === "MirrorkitError";
    if (!isKnown) console.error(error);
    self.postMessage({ id, error: String(error?.message ?? error).split("\n")[0] });
  }
};

async function script(name) {
  try {
    return await import(`./vendor/${name}`);
  } catch (error) {
    throw known(`vendor/${name}: cannot be loaded (${error.message}); ${MAKE}`);
  }
}

async function read(path) {
  const response = await fetch(path, { cache: "no-cache" }).catch((error) => {
    throw known(`${path}: the server does not answer (${error.message})`);
  });
  if (!response.ok) throw known(`${path}: missing (HTTP ${response.status}); ${MAKE}`);
  return response.arrayBuffer();
}

function known(message) {
  return Object.assign(new Error(message), { name: "MirrorkitError" });
}
