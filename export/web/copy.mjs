// node copy.mjs BUNDLE OUT_DIR [VARIANT...]: copy what JavaScript reads of a bundle, and of its graphs these variants (or
// all that are here). The manifest that is written names no others.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openManifest } from "mirrorkit";

const [folder, out, ...names] = process.argv.slice(2);
try {
  const bundle = await openManifest(folder); // checks the manifest, and so every path in it
  const here = bundle.variants;
  const unknown = names.find((name) => !here.includes(name));
  if (unknown !== undefined) throw new Error(`variant ${unknown}: this bundle holds ${here.join(", ")}`);
  const wanted = names.length ? [...new Set(names)] : here;
  const graphs = wanted.flatMap((name) => bundle.files(name));
  const read = (path) => bundle.source.read(path, { meter: {} }); // follows no link out of the folder
  for (const path of new Set(["golden.jsonl", "tokenizer.json", ...graphs])) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await writeFile(join(out, path), await read(path));
  }
  const raw = await read("mirrorkit.json");
  const manifest = JSON.parse(raw);
  const all = Object.keys(manifest.variants);
  manifest.variants = Object.fromEntries(wanted.map((name) => [name, manifest.variants[name]]));
  await writeFile(join(out, "mirrorkit.json"), wanted.length === all.length ? raw : JSON.stringify(manifest, null, 2));
} catch (error) {
  console.error(`setup: ${error.message.split("\n")[0]}`);
  process.exitCode = 2;
}
