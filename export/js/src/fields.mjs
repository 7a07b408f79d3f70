// Take the fields of a manifest that anybody may have written: mirrorkit/formats/fields.py in JavaScript, the same
// bounds. Each function throws an Error that says what must be.

const LONGEST_NAME = 64; // characters of a name
const LONGEST_PATH = 512; // characters of a path
const LONGEST_TEXT = 10_000; // characters of anything else
const MOST_ENTRIES = 10_000; // of a list or an object
const LARGEST_FILE = 2 ** 42; // bytes
const WIDEST = 2 ** 16; // numbers in a vector
const LONGEST_INPUT = 2 ** 20; // tokens
const LARGEST_ID = 2 ** 31 - 1; // of a token
const LARGEST_NUMBER = 1e30; // of a component of a vector
const LARGEST_JSON = 2 ** 28; // bytes
const DEEPEST = 64; // lists and objects within one another
const PRECISIONS = ["fp32", "fp16", "int8", "int4", "static"];
const GRAPHS = ["onnx", "onnxruntime"];
const POOLINGS = ["cls", "mean", "mean-padded", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"];
const SIMILARITIES = ["cosine", "dot", "euclidean", "manhattan"];
const ALWAYS = ["query", "document"]; // prompts that every model has

/** Return the value of a JSON file, given its bytes. Throws for what is not UTF-8, not JSON, too large, or holds half a
 * surrogate pair, which is no text. */
export function parseJson(bytes) {
  if (bytes.byteLength > LARGEST_JSON) throw new Error(`more than ${LARGEST_JSON} bytes`);
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  return JSON.parse(text, /\\u[dD][89a-fA-F]/.test(text) ? whole : undefined);
}

function whole(key, value) {
  if (/\p{Surrogate}/u.test(key) || (typeof value === "string" && /\p{Surrogate}/u.test(value)))
    throw new Error("half a surrogate pair in a text");
  return value;
}

/** Throw unless every field of mirrorkit.json that a reader relies on is of its type and within bounds. */
export function checkManifest(manifest) {
  checkShape(manifest);
  text(manifest, "architecture");
  number(manifest, "dim", WIDEST, 1);
  number(manifest, "max_length", LONGEST_INPUT, 1);
  number(manifest, "pad_token_id", LARGEST_ID);
  entries(manifest, "provenance");
  if ("width" in manifest) number(manifest, "width", WIDEST);
  flag(manifest, "pools_only", true);
  checkPooling(text(manifest, "pooling", LONGEST_TEXT));
  checkUsage(manifest);
  checkRanges(manifest);
  checkFiles(manifest);
}

function checkFiles(manifest) {
  const files = entries(manifest, "files");
  for (const [name, record] of Object.entries(files)) {
    path(name, "files");
    object(record, "files");
    number(record, "bytes", LARGEST_FILE);
    if (typeof record.sha256 !== "string" || !/^[0-9a-f]{64}$/.test(record.sha256))
      throw new Error("sha256 must be 64 hexadecimal digits");
  }
  for (const [name, variant] of Object.entries(entries(manifest, "variants"))) {
    asText(name, "variant");
    object(variant, "variants");
    if (!path(variant.file, "file").endsWith(".onnx")) throw new Error(`variant ${name}: is not an .onnx file`);
    choice(variant, "precision", PRECISIONS);
    choice(variant, "graph", GRAPHS);
    entries(variant, "report");
    checkOwnVectors(variant);
    for (const file of [variant.file, ...texts(variant.data_files, "data_files", LONGEST_PATH)])
      if (!Object.hasOwn(files, path(file, "data_files")))
        throw new Error(`variant ${name} needs ${file}, which is not among its files`);
  }
  const preference = "preference" in manifest ? entries(manifest, "preference") : {};
  for (const [device, names] of Object.entries(preference)) {
    asText(device, "preference");
    texts(names, `preference for ${device}`);
  }
}

/** Check what a variant with vectors of another length than the bundle's says of them. */
function checkOwnVectors(variant) {
  if ("golden" in variant) path(variant.golden, "golden");
  if ("dim" in variant) number(variant, "dim", WIDEST, 1);
  else if ((variant.scalar_ranges ?? null) !== null) throw new Error("scalar_ranges of a variant need its dim");
  checkRanges(variant);
}

function checkUsage(manifest) {
  const prompts = "prompts" in manifest ? entries(manifest, "prompts") : {};
  for (const [name, prompt] of Object.entries(prompts)) {
    asText(name, "name of a prompt", LONGEST_PATH);
    if (typeof prompt !== "string" || length(prompt) > LONGEST_TEXT)
      throw new Error("prompts must be an object of strings");
  }
  const byDefault = manifest.default_prompt ?? null;
  if (byDefault !== null && !ALWAYS.includes(byDefault) && !Object.hasOwn(prompts, byDefault))
    throw new Error(`default_prompt ${String(byDefault).slice(0, 80)} is none of the prompts`);
  flag(manifest, "include_prompt", true);
  flag(manifest, "normalized");
  choice(manifest, "truncation_side", ["right", "left"], "right");
  choice(manifest, "similarity", SIMILARITIES, "cosine");
}

function checkPooling(name) {
  const modes = name.split("+");
  if (!modes.every((mode) => POOLINGS.includes(mode)))
    throw new Error(`pooling must be one of ${POOLINGS.join(", ")}, or several joined by +`);
  if (modes.includes("mean-padded")) throw new Error("pooling mean-padded needs padding that is not added here");
}

function checkRanges({ scalar_ranges: ranges = null, dim }) {
  if (ranges === null) return;
  const isSide = (side) =>
    Array.isArray(side) &&
    side.length === dim &&
    side.every((value) => typeof value === "number" && Math.abs(value) < LARGEST_NUMBER);
  if (!Array.isArray(ranges) || ranges.length !== 2 || !ranges.every(isSide))
    throw new Error(`scalar_ranges must be two lists of ${dim} numbers`);
  if (ranges[0].some((low, i) => low > ranges[1][i]))
    throw new Error("scalar_ranges must be the lowest values and then the highest ones");
}

function checkShape(manifest) {
  let level = [manifest];
  for (let depth = 0; depth < DEEPEST; depth++) {
    const children = level.flatMap((outer) => Object.values(outer));
    if (children.some((child) => typeof child === "number" && !Number.isFinite(child)))
      throw new Error("numbers must be finite");
    level = children.filter((child) => child !== null && typeof child === "object");
    if (!level.length) return;
  }
  throw new Error(`nested more than ${DEEPEST} deep`);
}

function number(raw, key, most, least = 0) {
  const value = raw[key];
  if (!Number.isInteger(value) || value < least || value > most)
    throw new Error(`${key} must be a whole number of ${least} to ${most}`);
}

function text(raw, key, most = LONGEST_NAME) {
  return asText(raw[key], key, most);
}

function asText(value, what, most = LONGEST_NAME) {
  if (typeof value !== "string" || length(value) > most || /[\x00-\x1f\x7f]/.test(value))
    throw new Error(`${what} must be a text of at most ${most} characters`);
  return value;
}

/** Return the path of a file in the folder, with forward slashes and no step back. */
function path(value, what) {
  const name = asText(value, what, LONGEST_PATH);
  if (!name || /^\/|^[A-Za-z]:|\\/.test(name) || name.split("/").includes(".."))
    throw new Error(`${what}: the path ${name.slice(0, 80)} leads out of the bundle`);
  return name;
}

function texts(value, what, most = LONGEST_NAME) {
  if (!Array.isArray(value) || value.length > MOST_ENTRIES)
    throw new Error(`${what} must be a list of at most ${MOST_ENTRIES} texts`);
  return value.map((one) => asText(one, what, most));
}

function entries(raw, key) {
  const value = object(raw[key], key);
  if (Object.keys(value).length > MOST_ENTRIES) throw new Error(`${key} must have at most ${MOST_ENTRIES} entries`);
  return value;
}

function object(value, what) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error(`${what} must be an object`);
  return value;
}

function flag(raw, key, byDefault) {
  if (typeof (raw[key] === undefined ? byDefault : raw[key]) !== "boolean")
    throw new Error(`${key} must be true or false`);
}

function choice(raw, key, choices, byDefault) {
  if (!choices.includes(raw[key] === undefined ? byDefault : raw[key]))
    throw new Error(`${key} must be one of ${choices.join(", ")}`);
}

function length(string) {
  return [...string].length; // of characters, as Python counts them
}
