// The package in a browser on the GPU, where there is one that gives the golden vectors; else WebAssembly.
import { forWeb } from "./web.mjs";

export { MirrorkitError } from "./errors.mjs";
export const { openBundle, openManifest } = forWeb(() => import("onnxruntime-web/webgpu"), "auto");
