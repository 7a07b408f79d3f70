// Use the package as a job says, in node and in a worker alike, and tell what came of it.
import { MirrorkitError, openBundle, openManifest } from "mirrorkit";

/** `{ place, options, abortAt, calls: [{ texts, options, abortAfter, abortSoon }] }`: open, encode, close. */
export async function drive({ place, options, abortAt, calls = [] }) {
  const loading = [];
  const control = new AbortController();
  const onProgress = (progress) => {
    loading.push(progress);
    if (progress.file === abortAt) control.abort();
  };
  let encoder;
  try {
    encoder = await openBundle(place, { ...options, signal: control.signal, onProgress });
  } catch (error) {
    return { loading, ...spoken(error) };
  }
  const results = await Promise.all(calls.map((call) => encode(encoder, call))); // they overlap, as they may
  const { variant, provider, dim, maxLength, fingerprint, verified } = encoder;
  await encoder.close();
  await encoder.close();
  const closed = await encoder.encode("too late").catch(spoken);
  return { loading, variant, provider, dim, maxLength, fingerprint, verified, results, closed };
}

/** `{ places, calls: [[text, options]] }`: the token ids that each bundle gives, or what is wrong with it. */
export async function tokens({ places, calls }) {
  const found = [];
  for (const place of places) {
    try {
      const bundle = await openManifest(place, { cache: false });
      found.push(calls.map(([text, options]) => bundle.ids(text, options)));
    } catch (error) {
      found.push(spoken(error));
    }
  }
  return found;
}

async function encode(encoder, { texts, options, abortAfter, abortSoon }) {
  const progress = [];
  const control = new AbortController();
  const onProgress = (one) => {
    progress.push(one);
    if (progress.length === abortAfter) control.abort();
  };
  if (abortSoon) setTimeout(() => control.abort(), 0);
  try {
    const vectors = await encoder.encode(texts, { ...options, signal: control.signal, onProgress });
    return { vectors: vectors.map((one) => (one instanceof Float32Array ? Array.from(one) : null)), progress };
  } catch (error) {
    return { progress, ...spoken(error) };
  }
}

function spoken(error) {
  return { error: error.message, kind: error.name, ours: error instanceof MirrorkitError };
}
