// What users write, and what the types must not let through.
import { MirrorkitError, openBundle, openManifest, type Encoder, type OpenOptions } from "mirrorkit";
import { openBundle as openOnGpu } from "mirrorkit/webgpu";
import * as ort from "onnxruntime-web/wasm";

const options: OpenOptions = {
  variant: "int8",
  signal: AbortSignal.timeout(60_000),
  onProgress: ({ file, loaded, total }) => console.log(`${file}: ${Math.round((100 * loaded) / total)} %`),
  onFallback: ({ provider, instead, reason }) => console.warn(provider, instead, reason),
  ort,
  tokenizer: new WebAssembly.Module(new Uint8Array()),
};

export async function use(): Promise<number> {
  const encoder: Encoder = await openBundle(new URL("https://example.org/bundle/"), options);
  const short = { promptName: "query", truncateDim: 64, normalize: true };
  const [query]: Float32Array[] = await encoder.encode("a text", short);
  const texts: readonly string[] = ["one", "two"];
  const [one, two] = await encoder.encode(texts, { onProgress: ({ done, total }) => console.log(done / total) });
  const { ok } = await encoder.check();
  const fingerprint: string | undefined = encoder.fingerprint;
  const bundle = await openManifest("bundle");
  const exact = await bundle.encoder("fp32", { exact: true });
  await exact.close();
  await (await openOnGpu("bundle", { provider: "auto" })).close();
  console.log(ok, fingerprint, query, encoder.ids("a text").length + encoder.dim + encoder.maxLength);
  return one && two ? encoder.similarity(one, two) : 0;
}

export async function misuse(encoder: Encoder): Promise<void> {
  // @ts-expect-error a number is no text
  await encoder.encode(5);
  // @ts-expect-error there is no such option
  await encoder.encode("a text", { pooling: "mean" });
  // @ts-expect-error its vectors are an array
  const vector: Float32Array = await encoder.encode("a text");
  // @ts-expect-error it cannot be set
  encoder.dim = vector.length;
  // @ts-expect-error nor is that a provider
  await openBundle("bundle", { provider: "cuda" });
  if (Math.random() > 2) throw new MirrorkitError("a line");
}
