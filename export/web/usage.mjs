// How texts go into a model and what can be said of its vectors: mirrorkit/formats/usage.py in JavaScript.

const SIMILARITIES = ["cosine", "dot", "euclidean", "manhattan"];
const ALWAYS = { query: "", document: "" }; // prompts that every model has

/** Return what a manifest says of prompts and vectors; what older ones do not say is as it was. `bad(what)` makes the
 * error for what cannot be. */
export function readUsage(manifest, bad) {
  const { prompts = {}, default_prompt: byDefault = null, include_prompt: includePrompt = true } = manifest;
  const { truncation_side: side = "right", similarity = "cosine", normalized = true } = manifest;
  const isObject = prompts !== null && typeof prompts === "object" && !Array.isArray(prompts);
  if (!isObject || !Object.values(prompts).every((text) => typeof text === "string"))
    throw bad("prompts must be an object of strings");
  const known = { ...ALWAYS, ...prompts };
  if (byDefault !== null && !Object.hasOwn(known, byDefault))
    throw bad(`default_prompt ${byDefault} is none of the prompts`);
  for (const [key, value] of Object.entries({ include_prompt: includePrompt, normalized }))
    if (typeof value !== "boolean") throw bad(`${key} must be true or false`);
  if (!["right", "left"].includes(side)) throw bad("truncation_side must be right or left");
  if (!SIMILARITIES.includes(similarity)) throw bad(`similarity must be one of ${SIMILARITIES.join(", ")}`);
  return { prompts, known, byDefault, includePrompt, side, similarity, normalized };
}

/** Return what to put before a text: `prompt`, else the one called `promptName`, else the default one. */
export function promptOf(usage, { prompt, promptName } = {}) {
  if (prompt !== undefined) return prompt;
  const name = promptName ?? usage.byDefault;
  if (name === null) return "";
  if (!Object.hasOwn(usage.known, name))
    throw new Error(`prompt ${name}: the model has ${Object.keys(usage.prompts).join(", ") || "none"}`);
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
