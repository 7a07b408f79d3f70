// Texts of similar length together, within a budget of tokens: mirrorkit/text/ragged.py in JavaScript.

/** Yield places in `lengths`, longest first, in batches of at most `budget` tokens with padding (one text at least). */
export function* batches(lengths, budget) {
  const order = Array.from(lengths, (_, place) => place).sort((a, b) => lengths[b] - lengths[a] || a - b);
  for (let start = 0; start < order.length; ) {
    const count = Math.max(1, Math.floor(budget / Math.max(1, lengths[order[start]])));
    yield order.slice(start, start + count);
    start += count;
  }
}

/**
 * Return `{ ids, mask, shape }`: int64 [texts, longest], padded at the right, at least 1 wide, since some tokenizers
 * make no token of an empty text. The first `unpooled` tokens of each have a 2 in the mask: attended to, not pooled.
 */
export function padded(texts, padId, unpooled) {
  const width = Math.max(1, ...texts.map((ids) => ids.length));
  const ids = new BigInt64Array(texts.length * width).fill(BigInt(padId));
  const mask = new BigInt64Array(texts.length * width);
  for (const [row, tokens] of texts.entries()) {
    for (const [i, id] of tokens.entries()) ids[row * width + i] = BigInt(id);
    mask.fill(1n, row * width, row * width + tokens.length);
    mask.fill(2n, row * width, row * width + Math.min(tokens.length, unpooled));
  }
  return { ids, mask, shape: [texts.length, width] };
}
