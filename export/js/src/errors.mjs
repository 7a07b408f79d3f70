/** What is wrong with a bundle, an option or a machine, in one line. */
export class MirrorkitError extends Error {
  name = "MirrorkitError";
}

/** Return an error's message without the stack or the lines below it. */
export function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0];
}

/** Return what was given, as a message shows it: short, on one line. */
export function shown(value) {
  if (typeof value === "string") return value.slice(0, 80).replace(/[\x00-\x1f\x7f]/g, "?");
  if (value === null || ["number", "boolean", "undefined", "bigint"].includes(typeof value)) return String(value);
  return Array.isArray(value) ? "an array" : `an ${typeof value}`.replace("an f", "a f").replace("an s", "a s");
}
