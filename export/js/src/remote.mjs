// The files of a bundle on a server, by fetch; in browsers kept in the Cache API, under their hash.
import { MirrorkitError, firstLine } from "./errors.mjs";

const STORE = "mirrorkit"; // name of the cache
const HASH = "mirrorkit-sha256"; // in the address of what is kept, which no server sees
const LONGEST_MANIFEST = 2 ** 28; // bytes

/**
 * Return the source of the bundle at `address`, relative to the page's own or to the worker's.
 *
 * What an address has behind `?` is sent with each file. It is never in a message, since it may be a key.
 */
export async function remoteFiles(address, { cache = true } = {}) {
  const base = baseOf(address);
  const label = `${address}`.replace(/[?#].*$/s, "").replace(/\/*$/, "/");
  const store = cache ? await storeOf(base) : undefined;
  const urlOf = (path) => {
    const url = new URL(path.split("/").map(encodeURIComponent).join("/"), base); // or %2e%2e would be a step back
    url.search = base.search;
    return url;
  };
  const keyOf = (path, { sha256 }) => {
    const key = new URL(urlOf(path));
    key.search = "";
    key.searchParams.set(HASH, sha256);
    return key;
  };
  return {
    read: (path, { bytes, meter }) => download(urlOf(path), `${label}${path}`, path, bytes, meter),
    kept: store && (async (path, record) => {
      const found = await store.match(keyOf(path, record)).catch(() => undefined);
      return found && new Uint8Array(await found.arrayBuffer());
    }),
    keep: store && (async (path, record, bytes) => {
      const key = keyOf(path, record);
      try {
        await store.delete(key, { ignoreSearch: true }); // what this file was in an earlier bundle
        await store.put(key, new Response(bytes));
      } catch {
        // no room: it is loaded again next time
      }
    }),
  };
}

function baseOf(address) {
  let url;
  try {
    url = new URL(address, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch (error) {
    throw new MirrorkitError("the address of the bundle cannot be read as one", { cause: error });
  }
  if (url.username || url.password)
    throw new MirrorkitError("the address of the bundle has a password in it: leave it out");
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

async function storeOf({ protocol }) {
  if (!globalThis.caches || !globalThis.crypto?.subtle || !/^https?:$/.test(protocol)) return undefined;
  return caches.open(STORE).catch(() => undefined); // some browsers forbid it in private windows
}

async function download(url, label, path, size, meter) {
  const { signal } = meter;
  try {
    const response = await fetch(url, { cache: "no-cache", signal });
    if (!response.ok) throw new MirrorkitError(`${label}: missing (HTTP ${response.status})`);
    if (size === undefined) return await bodyOf(response, label, LONGEST_MANIFEST, "");
    const come = (bytes) => meter.come(path, bytes);
    return await bodyOf(response, label, size, ", which mirrorkit.json says", come);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof MirrorkitError) throw error;
    throw new MirrorkitError(`${label}: the server does not answer (${firstLine(error)})`, { cause: error });
  }
}

/** Return the bytes of a response, at most `most` of them, which `why` says; `come` is told how many there are. */
async function bodyOf(response, label, most, why, come) {
  const parts = [];
  let size = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    if (size > most) {
      await reader.cancel();
      throw new MirrorkitError(`${label}: has more than ${most} bytes${why}`);
    }
    parts.push(value);
    come?.(size);
  }
  const whole = new Uint8Array(size); // as large as what came, whatever a manifest says
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
