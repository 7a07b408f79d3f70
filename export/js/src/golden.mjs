// Hold what is computed here against golden.jsonl, the vectors that the bundle was published with.
import { MirrorkitError } from "./errors.mjs";
import { dot } from "./usage.mjs";

// Of a component, of the length of a vector. Any fp32 runtime can keep it, whatever the order of its sums.
export const FP32_TOLERANCE = 1e-5;

/** Return what a variant may differ by from the fp32 vectors: `{ difference, cosine, steadyOnly }`. */
function limits(manifest, name) {
  const { precision, report } = manifest.variants[name];
  if (precision === "fp32" || precision === "static")
    return { difference: FP32_TOLERANCE, cosine: 1 - FP32_TOLERANCE, steadyOnly: false };
  const allowed = report?.allowed;
  if (!(allowed?.max_abs > 0 && allowed.cosine_min > 0))
    throw new MirrorkitError(`variant ${name}: mirrorkit.json does not say what it may differ by`);
  return { difference: allowed.max_abs, cosine: allowed.cosine_min, steadyOnly: precision !== "fp16" };
}

/** Return whether a text does not say one token over and over: the others no quantised graph keeps, and none is judged
 * by them (mirrorkit/verification/measure.py, `steady`). */
function isSteady(ids) {
  const counts = new Map();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return ids.length < 16 || Math.max(...counts.values()) <= ids.length / 2;
}

/**
 * Return the golden texts whose token ids are others here than in Python. There must be none: of other ids no graph
 * makes the right vector.
 */
export async function textsWithOtherIds(bundle) {
  const isOther = ({ text, input_ids: ids }) => bundle.ids(text).join() !== ids.join();
  return (await bundle.golden()).filter(isOther).map(({ text }) => text);
}

/**
 * Encode every golden text with `encoder` and compare: `{ variant, texts, leftOut, idsDiffer, difference, cosine,
 * allowed, text, ok, milliseconds }`. `difference` is the largest of any component (of the mean length of a vector,
 * where they are not of length 1), `cosine` the lowest, both without the `leftOut` texts that are not steady where the
 * variant is quantised; `text` is the one with that difference, `milliseconds` the mean for one text.
 * `onProgress({ done, total })` is told after each.
 */
export async function check(encoder, { onProgress, signal } = {}) {
  const { bundle } = encoder;
  const rows = await bundle.golden(encoder.variant);
  const allowed = limits(bundle.manifest, encoder.variant);
  const scale = bundle.usage.normalized ? 1 : meanLength(rows);
  const idsDiffer = (await textsWithOtherIds(bundle)).length;
  let [leftOut, spent, difference, cosine, worst] = [0, 0, 0, 1, ""];
  for (const [done, { text, input_ids: ids, embedding }] of rows.entries()) {
    const start = performance.now();
    const [vector] = await encoder.encode(text, { signal });
    spent += performance.now() - start;
    onProgress?.({ done: done + 1, total: rows.length });
    if (allowed.steadyOnly && !isSteady(ids)) {
      leftOut++;
      continue;
    }
    const off = largestDifference(vector, embedding) / scale;
    if (!(off <= difference)) [difference, worst] = [off, text];
    const lengths = Math.hypot(...vector) * Math.hypot(...embedding);
    if (lengths) cosine = Math.min(cosine, dot(vector, embedding) / lengths); // a table's empty text has no direction
  }
  if (leftOut === rows.length) throw new MirrorkitError("golden.jsonl: no text in it that this variant is judged by");
  const ok = !idsDiffer && difference <= allowed.difference && cosine >= allowed.cosine;
  const counts = { texts: rows.length, leftOut, idsDiffer };
  const milliseconds = spent / rows.length;
  return { variant: encoder.variant, ...counts, difference, cosine, allowed, text: worst, ok, milliseconds };
}

function meanLength(rows) {
  return rows.reduce((sum, { embedding }) => sum + Math.hypot(...embedding), 0) / rows.length || 1;
}

function largestDifference(vector, golden) {
  if (golden.length !== vector.length)
    throw new MirrorkitError(`golden.jsonl: vectors of ${golden.length}, mirrorkit.json says ${vector.length}`);
  return vector.reduce((worst, value, i) => Math.max(worst, Math.abs(value - golden[i])), 0);
}
