// Which further files an ONNX graph makes ONNX Runtime open: mirrorkit/formats/onnx_paths.py in JavaScript. Some
// releases follow such a name wherever it leads, so a graph may name only files that the manifest names with it.

const MOST_FIELDS = 5_000_000; // in all messages that are walked through; real graphs have some ten thousand
const DEEPEST = 256; // messages within messages
const LONGEST_NAME = 100_000; // bytes of a name
const MEMORY = "_ORT_MEM_ADDR_"; // in a name, has ONNX Runtime read at an address instead of from a file
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const OP_TYPE = 4; // field of a node

// Messages and the fields of them that are walked into: number of the field -> message there. From onnx.proto.
const INTO = {
  model: { 7: "graph", 20: "training", 25: "function" },
  training: { 1: "graph", 2: "graph" },
  function: { 7: "node", 11: "attribute" },
  graph: { 1: "node", 5: "tensor", 15: "sparse" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse" },
  sparse: { 1: "tensor", 2: "tensor" },
  tensor: { 13: "entry" },
  entry: {},
};

/**
 * Throw unless every file that the graph in these bytes reads weights from is one of `allowed`, paths from the graph's
 * own folder, spelled as they are there. Graphs that run binaries made elsewhere, and what is no ONNX, are refused too.
 */
export function checkGraphPaths(bytes, allowed) {
  if (!bytes.byteLength) throw new Error("is empty");
  const names = new Set(allowed);
  const stack = [{ message: "model", start: 0, end: bytes.byteLength, depth: 1 }];
  let seen = 0;
  while (stack.length) {
    const { message, start, end, depth } = stack.pop();
    if (depth > DEEPEST) throw malformed("graphs within graphs without end");
    let key, value;
    for (const field of fields(bytes, start, end)) {
      if (++seen > MOST_FIELDS) throw malformed(`more than ${MOST_FIELDS} parts`);
      const inner = INTO[message][field.number];
      if (inner) {
        if (field.plain) throw malformed("a number where a message should be");
        stack.push({ message: inner, start: field.start, end: field.end, depth: depth + 1 });
      } else if (message === "entry" && field.number === 1) key = text(bytes, field);
      else if (message === "entry" && field.number === 2) value = text(bytes, field);
      else if (message === "node" && field.number === OP_TYPE && text(bytes, field) === "EPContext")
        throw new Error("holds an operator EPContext, which runs a binary made elsewhere");
    }
    if (key === "location" && (!names.has(value) || value.includes(MEMORY)))
      throw new Error(`reads weights from '${shown(value ?? "")}', which mirrorkit.json does not name with it`);
  }
}

/** Yield the fields of a protobuf message that lies from `start` to `end`. */
function* fields(bytes, start, end) {
  let at = start;
  const varint = () => {
    let value = 0;
    for (let scale = 1, read = 0; at < end && read < 10; scale *= 128, read++) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw malformed("cut short");
  };
  while (at < end) {
    const tag = varint();
    if (tag >= 2 ** 32) throw malformed("a field of no number");
    const number = Math.floor(tag / 8);
    const kind = tag % 8;
    let size = 0;
    if (kind === 0) varint();
    else if (kind === 1 || kind === 5) size = kind === 1 ? 8 : 4;
    else if (kind === 2) size = varint();
    else throw malformed(`a field of kind ${kind}`);
    if (size > end - at) throw malformed("cut short");
    yield { number, start: at, end: at + size, plain: kind !== 2 };
    at += size;
  }
}

function text(bytes, { start, end }) {
  if (end - start > LONGEST_NAME) throw malformed(`a name of ${end - start} bytes`);
  try {
    return UTF8.decode(bytes.subarray(start, end));
  } catch {
    throw malformed("a name that is not UTF-8");
  }
}

/** A name that anybody may have chosen, fit for a message. */
function shown(name) {
  return [...name.slice(0, 200)].map((one) => (/[ -~]/.test(one) ? one : "?")).join("");
}

function malformed(what) {
  return new Error(`not a readable ONNX file (${what})`);
}
