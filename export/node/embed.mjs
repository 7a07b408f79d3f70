#!/usr/bin/env node
// node embed.mjs BUNDLE [options] TEXT...: one line a text, its vector as JSON.
//   --variant NAME   --prompt TEXT or --prompt-name NAME   --truncate-dim N   --normalize
import { parseArgs } from "node:util";
import { firstLine } from "../web/bundle.mjs";
import { textsWithOtherIds } from "../web/golden.mjs";
import { open } from "./index.mjs";

try {
  const { values, positionals } = parseArgs({
    options: {
      variant: { type: "string", default: "auto" },
      prompt: { type: "string" },
      "prompt-name": { type: "string" },
      "truncate-dim": { type: "string" },
      normalize: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const [folder, ...texts] = positionals;
  if (!texts.length) throw new Error("usage: node embed.mjs BUNDLE [options] TEXT...");
  const bundle = await open(folder);
  const wrong = await textsWithOtherIds(bundle);
  if (wrong.length) throw new Error(`${folder}: tokenizer.json gives other ids here for ${wrong.length} golden texts`);
  const encoder = await bundle.encoder(values.variant);
  const kept = values["truncate-dim"];
  const options = {
    prompt: values.prompt,
    promptName: values["prompt-name"],
    truncateDim: kept === undefined ? undefined : Number(kept),
    normalize: values.normalize,
  };
  for (const text of texts) console.log(JSON.stringify(Array.from(await encoder.encode(text, options))));
} catch (error) {
  console.error(`embed.mjs: ${firstLine(error)}`);
  process.exitCode = 2;
}
