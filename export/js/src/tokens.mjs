// Text to token ids: @huggingface/tokenizers, what it leaves out, and the cut at the longest input.
import { MirrorkitError, firstLine } from "./errors.mjs";

/** Return `{ ids(text), isSpecial(id) }`. The tokenizer does not cut by itself; a cut, at the end of a text or at its
 * `left`, spares the special tokens around it. */
export function toIds(Tokenizer, [tokenizerJson, config], maxLength, side) {
  let encode, lead, tail;
  try {
    const tokenizer = new Tokenizer(tokenizerJson, config);
    const prepare = preparing(tokenizerJson.normalizer);
    encode = (text) => tokenizer.encode(prepare(text)).ids;
    const whole = encode("a");
    const inner = tokenizer.encode("a", { add_special_tokens: false }).ids;
    lead = whole.findIndex((_, i) => inner.every((id, j) => whole[i + j] === id));
    tail = whole.length - lead - inner.length;
    if (!inner.length || lead < 0) throw new Error("its special tokens cannot be told from the others");
  } catch (error) {
    throw new MirrorkitError(`tokenizer.json: cannot be used (${firstLine(error)})`, { cause: error });
  }
  const special = new Set((tokenizerJson.added_tokens ?? []).filter((token) => token.special).map(({ id }) => id));
  const cut = (ids) =>
    side === "left"
      ? [...ids.slice(0, lead), ...ids.slice(ids.length - (maxLength - lead))]
      : [...ids.slice(0, maxLength - tail), ...ids.slice(ids.length - tail)];
  const ids = (text) => {
    const all = encode(text.replace(/\p{Surrogate}/gu, "\ufffd")); // lone ones alone: no characters, as in Python
    return all.length <= maxLength ? all : cut(all);
  };
  return { ids, isSpecial: (id) => special.has(id) };
}

/**
 * Return a function that does to a text what the tokenizer package leaves out: it takes no character above U+FFFF for
 * Chinese, and lowercases a Σ that ends a word to ς, as JavaScript does and `tokenizers` does not.
 */
function preparing(normalizer) {
  const steps = normalizer?.type === "Sequence" ? normalizer.normalizers : [normalizer];
  const bert = steps.find((step) => step?.type === "BertNormalizer");
  const lowers = bert?.lowercase || steps.some((step) => step?.type === "Lowercase");
  const chinese = /[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;
  return (text) => {
    const spaced = bert?.handle_chinese_chars ? text.replace(chinese, " $& ") : text;
    return lowers ? spaced.replaceAll("Σ", "σ") : spaced;
  };
}
