// Which backend runs a graph: the wanted one where it is here and gives the golden vectors, else the one behind it.
import { MirrorkitError, firstLine } from "./errors.mjs";
import { check } from "./golden.mjs";

/**
 * Return an Encoder of `wanted` on the first of the bundle's backends that can be relied on.
 *
 * A backend is `{ name, get() }`; `get` gives `{ provider, device, without?, proven, Tensor, start(variant, bytes) }`,
 * or null where it is not here and nobody asked for it by name; it throws where somebody did. One that is not `proven`
 * encodes the golden texts first: there are GPUs and drivers that give wrong vectors and no error. What is left out is
 * told to `onFallback({ provider, instead, variant, reason })`, or else by console.warn.
 */
export async function startFirst(bundle, wanted, { meter, onFallback = warn }) {
  const left = []; // { provider, reason }
  const { backends } = bundle;
  for (const [place, { name: provider, get }] of backends.entries()) {
    const isLast = place === backends.length - 1;
    const give = (reason) => left.push({ provider, reason: firstLine(reason) });
    let backend;
    try {
      backend = await get();
    } catch (error) {
      if (isLast) throw error;
      give(error);
      continue;
    }
    if (backend === null) continue;
    const name = bundle.choose(wanted, backend);
    const bytes = await bundle.read(name, meter); // a damaged file is damaged for every backend: no reason to go on
    let encoder;
    try {
      encoder = await bundle.start(name, bytes, backend);
      if (!backend.proven) await prove(encoder, meter.signal);
      meter.signal?.throwIfAborted();
    } catch (error) {
      await encoder?.close();
      if (isLast || meter.signal?.aborted) throw error;
      give(error);
      continue;
    }
    for (const { provider, reason } of left) onFallback({ provider, instead: backend.provider, variant: name, reason });
    return encoder;
  }
  throw new MirrorkitError("nothing here runs a graph");
}

async function prove(encoder, signal) {
  const { ok, difference, cosine, allowed, text } = await check(encoder, { signal });
  if (ok) return;
  const found = [
    `largest difference ${difference.toExponential(1)}, ${allowed.difference} allowed`,
    `lowest cosine ${cosine.toFixed(4)}, ${allowed.cosine} allowed`,
  ];
  const where = `for ${JSON.stringify(text.slice(0, 40))}`;
  throw new MirrorkitError(`${encoder.variant}: gives other vectors than golden.jsonl (${found.join("; ")}) ${where}`);
}

function warn({ provider, instead, variant, reason }) {
  console.warn(`mirrorkit: ${provider} is not used, ${variant} runs on ${instead} instead: ${reason}`);
}
