// One text, one vector, and a bundle of which encoders are opened one by one: a thin coat over the package `mirrorkit`.
//
//   const bundle = await open("bundle");
//   const encoder = await bundle.encoder();
//   const vector = await encoder.encode("How do I reset my password?"); // Float32Array
import { openManifest } from "mirrorkit";

/** Return the bundle in `folder`; `threads` for one text, 1 where many processes share a machine. */
export async function open(folder, { threads = 1 } = {}) {
  const bundle = await openManifest(folder, { threads });
  return {
    manifest: bundle.manifest,
    variants: bundle.variants,
    encoder: async (wanted) => single(await bundle.encoder(wanted)),
    open: async (name) => single(await bundle.encoder(name, { exact: true })),
    size: (name) => bundle.size(name),
    ids: (text, options) => bundle.ids(text, options),
    similarity: (a, b) => bundle.similarity(a, b),
    golden: () => bundle.golden(),
    textsWithOtherIds: () => bundle.textsWithOtherIds(),
  };
}

/** Return an encoder of one text a call; `normalize: false` leaves a vector as the model gives it. */
function single(encoder) {
  return {
    name: encoder.variant,
    encode: async (text, { normalize, ...options } = {}) =>
      (await encoder.encode([text], { ...options, normalize: normalize || undefined }))[0],
    check: (options) => encoder.check(options),
    release: () => encoder.close(),
  };
}
