#!/usr/bin/env node
// node embed.mjs BUNDLE [--variant NAME] TEXT...: one line a text, its vector as JSON.
import { parseArgs } from "node:util";
import { firstLine } from "../web/bundle.mjs";
import { textsWithOtherIds } from "../web/golden.mjs";
import { open } from "./index.mjs";

try {
  const { values, positionals } = parseArgs({
    options: { variant: { type: "string", default: "fp32" } },
    allowPositionals: true,
  });
  const [folder, ...texts] = positionals;
  if (!texts.length) throw new Error("usage: node embed.mjs BUNDLE [--variant NAME] TEXT...");
  const bundle = await open(folder);
  const wrong = await textsWithOtherIds(bundle);
  if (wrong.length) throw new Error(`${folder}: tokenizer.json gives other ids here for ${wrong.length} golden texts`);
  const encoder = await bundle.encoder(values.variant);
  for (const text of texts) console.log(JSON.stringify(Array.from(await encoder.encode(text))));
} catch (error) {
  console.error(`embed.mjs: ${firstLine(error)}`);
  process.exitCode = 2;
}
