#!/usr/bin/env node
// node embed.mjs BUNDLE [options] TEXT...: one line a text, its vector as JSON.
//   --variant NAME   --prompt TEXT or --prompt-name NAME   --truncate-dim N   --normalize
import { parseArgs } from "node:util";
import { openBundle } from "mirrorkit";

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
  const encoder = await openBundle(folder, { variant: values.variant });
  const kept = values["truncate-dim"];
  const options = {
    prompt: values.prompt,
    promptName: values["prompt-name"],
    truncateDim: kept === undefined ? undefined : Number(kept),
    normalize: values.normalize || undefined, // else as the model gives it
  };
  for (const vector of await encoder.encode(texts, options)) console.log(JSON.stringify(Array.from(vector)));
  await encoder.close();
} catch (error) {
  console.error(`embed.mjs: ${String(error.message).split("\n")[0]}`);
  process.exitCode = 2;
}
