// How texts go into a model and what can be said of its vectors: mirrorkit/formats/usage.py in JavaScript.
import { shown } from "./errors.mjs";

const ALWAYS = { query: "", document: "" }; // prompts that every model has

/** Return what a checked manifest says of prompts and vectors; what older ones do not say is as it was. */
export function readUsage(manifest) {
  const { prompts = {}, default_prompt: byDefault = null, include_prompt: includePrompt = true } = manifest;
  const { truncation_side: side = "right", similarity = "cosine", normalized } = manifest;
  return { prompts, known: { ...ALWAYS, ...prompts }, byDefault, includePrompt, side, similarity, normalized };
}

/** Return what to put before a text: `prompt`, else the one called `promptName`, else the default one. */
export function promptOf(usage, { prompt, promptName } = {}) {
  if (typeof (prompt ?? "") !== "string") throw new Error(`prompt ${shown(prompt)}: must be a string`);
  if ((prompt ?? null) !== null) return prompt;
  const name = promptName ?? usage.byDefault;
  if (name === null) return "";
  if (!Object.hasOwn(usage.known, name))
    throw new Error(`prompt ${shown(name)}: the model has ${Object.keys(usage.prompts).join(", ") || "none"}`);
  return usage.known[name];
}

/** Return how alike two vectors are; a distance is below zero, so that more is always more alike. */
export function similarityOf(name, a, b) {
  if (name === "euclidean") return -Math.hypot(...a.map((value, i) => value - b[i]));
  if (name === "manhattan") return -a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0);
  return name === "dot" ? dot(a, b) : dot(a, b) / (lengthOf(a) * lengthOf(b));
}

/** Return the dot product: the cosine, where both have length 1. */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Return a vector at unit length. */
export function unit(vector) {
  const length = lengthOf(vector);
  return vector.map((value) => value / length);
}

function lengthOf(vector) {
  return Math.max(Math.sqrt(dot(vector, vector)), 1e-12);
}
