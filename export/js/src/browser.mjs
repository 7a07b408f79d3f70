// The package in a browser, page or module worker: WebAssembly.
import { forWeb } from "./web.mjs";

export { MirrorkitError } from "./errors.mjs";
export const { openBundle, openManifest } = forWeb(() => import("onnxruntime-web/wasm"), "wasm");
