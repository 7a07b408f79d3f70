// Which model made a vector: mirrorkit/runtime/fingerprint.py in JavaScript, the same digits.
import { canHash, sha256 } from "./files.mjs";

/** Return the SHA-256 of all that decides a variant's vectors, undefined where files could not be held to theirs. */
export async function fingerprintOf(manifest, usage, name) {
  if (!canHash()) return undefined;
  const { file, data_files: more } = manifest.variants[name];
  const hashes = [file, ...more, "tokenizer.json"].map((path) => JSON.stringify(manifest.files[path].sha256));
  const decisive = [ // as json.dumps writes it, keys sorted
    `"files": [${hashes.join(", ")}]`,
    `"include_prompt": ${usage.includePrompt}`,
    `"max_length": ${manifest.max_length}`,
    `"pad_id": ${manifest.pad_token_id}`,
    '"pooling": null',
    '"truncate_dim": null',
    `"truncation_side": "${usage.side}"`,
    '"unit_length": false',
    `"variant": ${ascii(name)}`,
  ];
  return sha256(new TextEncoder().encode(`{${decisive.join(", ")}}`));
}

function ascii(text) {
  const escaped = (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).replace(/[\x7f-\uffff]/g, escaped);
}
