// Text to token ids: libmirrorkit's own tokenizer as WebAssembly. wasm/entry.cpp is the other side of each call.
import { MirrorkitError, firstLine } from "./errors.mjs";

const AT_ONCE = 1 << 16; // UTF-16 units that go into one call, or a single text that is longer
const MOST = 2 ** 31; // bytes, more than the module can have
const LONGEST_LINE = 400; // characters of an error
const utf8 = new TextEncoder(); // writes U+FFFD for a lone surrogate, as Python does here

// What the module asks of its surroundings: nothing, since it opens no file and prints nothing.
const surroundings = {
  env: { emscripten_notify_memory_growth() {} },
  wasi_snapshot_preview1: {
    proc_exit() {
      throw new Error("the tokenizer stopped");
    },
  },
};

/** One tokenizer, with a memory of its own that goes when it goes. */
export class Tokenizer {
  #exports;

  /** Return the tokenizer in the bytes of a tokenizer.json, given the compiled tokenizer.wasm. It cuts texts to
   * `maxLength` ids, special ones included, at their end or, with the side `left`, at their beginning. */
  static async open(module, json, { maxLength, side }) {
    const tokenizer = new Tokenizer();
    tokenizer.#exports = (await WebAssembly.instantiate(module, surroundings)).exports;
    tokenizer.#exports._initialize();
    const input = tokenizer.#room(json.byteLength);
    tokenizer.#bytes(input, json.byteLength).set(json);
    tokenizer.#call("mk_open", json.byteLength, maxLength, side === "left" ? 1 : 0);
    return tokenizer;
  }

  /** Return the ids of each text behind a prompt, special ones included: an array of Int32Array. */
  encode(texts, prompt = "") {
    const found = [];
    for (let start = 0; start < texts.length; ) {
      let end = start;
      let units = 0;
      do units += prompt.length + texts[end++].length;
      while (end < texts.length && units + prompt.length + texts[end].length <= AT_ONCE);
      this.#encode(texts.slice(start, end), prompt, 3 * units, found);
      start = end;
    }
    return found;
  }

  /** Return how many ids a prompt takes at the start of a text: a special token at its end is not its own. */
  promptLength(prompt) {
    const most = 3 * prompt.length;
    const input = this.#room(most);
    return this.#call("mk_prompt_length", utf8.encodeInto(prompt, this.#bytes(input, most)).written);
  }

  #encode(texts, prompt, most, found) {
    const head = 4 * texts.length;
    const input = this.#room(head + most);
    const lengths = new Uint32Array(this.#exports.memory.buffer, input, texts.length);
    const room = this.#bytes(input + head, most);
    let at = 0;
    for (const [i, text] of texts.entries()) {
      const start = at;
      // One after the other: half a character at the end of the prompt is no part of one with the text behind it.
      for (const part of [prompt, text]) at += utf8.encodeInto(part, room.subarray(at)).written;
      lengths[i] = at - start;
    }
    const count = this.#call("mk_encode", texts.length);
    const numbers = new Int32Array(this.#exports.memory.buffer, this.#exports.mk_result() >>> 0, count);
    for (let i = 0; i < count; i += 1 + numbers[i]) found.push(numbers.slice(i + 1, i + 1 + numbers[i]));
  }

  /** Return the address of room for that many bytes, which the next call takes for its input. */
  #room(bytes) {
    const address = bytes < MOST ? this.#call("mk_input", bytes) >>> 0 : 0;
    if (!address) throw new MirrorkitError(`no memory for ${bytes} bytes of text`);
    return address;
  }

  #bytes(address, count) {
    return new Uint8Array(this.#exports.memory.buffer, address, count); // anew each time: growing moves the memory
  }

  /** Return what a function of the module returns; throws MirrorkitError with the library's own line where it fails. */
  #call(name, ...numbers) {
    if (!this.#exports) throw new MirrorkitError("the tokenizer stopped earlier and cannot be used");
    let result;
    try {
      result = this.#exports[name](...numbers);
    } catch (error) {
      this.#exports = undefined; // what it was doing is half done
      throw new MirrorkitError(`the tokenizer stopped (${firstLine(error)})`, { cause: error });
    }
    if (result === -1) throw new MirrorkitError(this.#error());
    return result;
  }

  #error() {
    const memory = new Uint8Array(this.#exports.memory.buffer);
    const start = this.#exports.mk_error() >>> 0;
    const line = new TextDecoder().decode(memory.subarray(start, memory.indexOf(0, start)));
    // A file's own words may be in it.
    const cut = line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}…` : line;
    return cut.replace(/[\x00-\x1f\x7f]/g, "?");
  }
}
