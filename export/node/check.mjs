#!/usr/bin/env node
// node check.mjs BUNDLE [VARIANT...]: hold every variant against golden.jsonl; exit 1 where one differs too much.
import { openManifest } from "mirrorkit";

const [folder, ...names] = process.argv.slice(2);
try {
  if (!folder) throw new Error("usage: node check.mjs BUNDLE [VARIANT...]");
  const bundle = await openManifest(folder);
  let passed = 0, failed = 0;
  for (const name of names.length ? names : bundle.variants) {
    const encoder = await bundle.encoder(name, { exact: true });
    const { ok, texts, leftOut, idsDiffer, difference, cosine, allowed, text } = await encoder.check();
    await encoder.close();
    ok ? passed++ : failed++;
    const where = ok ? "" : `; worst on ${JSON.stringify(text.slice(0, 40))}`;
    console.log(
      `${ok ? "ok  " : "FAIL"} ${name}: ${texts - leftOut} of ${texts} texts, token ids of ${idsDiffer} differ, ` +
        `largest difference ${difference.toExponential(2)} (allowed ${allowed.difference}), ` +
        `lowest cosine ${cosine.toFixed(6)} (allowed ${allowed.cosine})${where}`,
    );
  }
  console.log(`node: ${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
} catch (error) {
  console.error(`check.mjs: ${String(error.message).split("\n")[0]}`);
  process.exitCode = 2;
}
