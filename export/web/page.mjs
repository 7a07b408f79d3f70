// The page: what is typed goes to the encoder in its worker, and how similar it is comes back.
// For tests and screenshots `document.body.dataset` tells `state` (loading, ready, error) and `check` (passed, failed).
import { megabytes, showChecks, showSimilarities, showSizes } from "./tables.mjs";

const MOST_SENTENCES = 24;
const TYPING_PAUSE = 250; // milliseconds without a key before the vectors are computed anew
const BUDGET = 50e6; // bytes that a visitor may have to load; ?budget=MB sets another

const $ = (id) => document.getElementById(id);
const options = new URLSearchParams(location.search);
const budget = Number(options.get("budget")) * 1e6 || BUDGET;
let worker, opened, inUse;
const waiting = new Map(); // id -> what waits for an answer of the worker
let work = Promise.resolve(); // one thing at a time, in the order of the clicks

function then(job) {
  work = work.then(job).catch(fail);
  return work;
}

/** Have the worker do something; `onProgress` is told meanwhile. */
function ask(call, args, onProgress = () => {}) {
  const id = waiting.size ? Math.max(...waiting.keys()) + 1 : 0;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, onProgress });
    worker.postMessage({ id, call, args });
  }).finally(() => waiting.delete(id));
}

function startWorker() {
  if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly: ONNX Runtime needs it");
  worker = new Worker("worker.mjs", { type: "module" });
  worker.onmessage = ({ data: { id, result, error, progress } }) => {
    const { resolve, reject, onProgress } = waiting.get(id);
    if (progress !== undefined) onProgress(progress);
    else if (error !== undefined) reject(new Error(error));
    else resolve(result);
  };
  worker.onerror = ({ message }) => {
    for (const { reject } of waiting.values()) reject(new Error(`worker.mjs: ${message ?? "cannot be loaded"}`));
  };
}

function fail(error) {
  document.body.dataset.state = "error";
  $("error").textContent = error.message.split("\n")[0];
  $("error").hidden = false;
  say("");
}

function say(text) {
  $("status").textContent = text;
}

function begin(text) {
  document.body.dataset.state = "loading";
  $("error").hidden = true;
  say(text);
}

async function load() {
  begin("Loading ONNX Runtime and the tokenizer…");
  startWorker();
  opened = await ask("load", options.get("variant") ?? "auto");
  const { about, variants, chosen, goldens } = opened;
  const what = `${about.architecture}, ${about.dim} dimensions, up to ${about.length} tokens`;
  $("about").textContent = `${what}. Nothing typed here leaves this page.`;
  for (const { name, bytes } of variants) $("variant").append(new Option(`${name}, ${megabytes(bytes)}`, name));
  const { texts, idsDiffer } = goldens;
  $("warning").hidden = !idsDiffer;
  const wrong = `this tokenizer gives other ids than Python for ${idsDiffer} of ${texts} texts.`;
  $("warning").textContent = `Wrong vectors: ${wrong}`;
  $("variant").value = chosen;
  for (const id of ["variant", "check"]) $(id).disabled = false;
}

const sizeOf = (wanted) => opened.variants.find(({ name }) => name === wanted).bytes;

async function choose(name) {
  inUse = undefined;
  const size = megabytes(sizeOf(name));
  begin(`Loading ${name}, ${size}…`);
  const tell = ({ loaded, total }) => say(`Loading ${name}, ${size}: ${Math.floor((100 * loaded) / total)} %`);
  const { seconds } = await ask("choose", name, tell);
  inUse = name;
  await showLoaded(name, seconds);
  await embed();
}

async function showLoaded(name, modelSeconds) {
  const { sizes, seconds } = opened;
  const parts = [
    { name: "Page and scripts", bytes: await pageBytes() },
    { name: "ONNX Runtime, WebAssembly", bytes: sizes.runtime, seconds: seconds.runtime },
    { name: "Tokenizer and settings", bytes: sizes.settings, seconds: seconds.settings },
    { name: `Model, ${name}`, bytes: sizeOf(name), seconds: modelSeconds },
  ];
  const sum = (key) => parts.reduce((total, part) => total + (part[key] ?? 0), 0);
  showSizes($("sizes"), [...parts, { name: "All", bytes: sum("bytes"), seconds: sum("seconds") }]);
  const within = sum("bytes") <= budget;
  $("budget").textContent = `${within ? "Within" : "Over"} the budget of ${megabytes(budget)}.`;
  $("budget").className = within ? "ok" : "bad";
  $("verified").textContent = globalThis.crypto?.subtle
    ? "Every file of the bundle has the SHA-256 on record."
    : "The files were not held to their SHA-256: browsers compute it on https and localhost alone.";
}

/** Return the bytes of the page itself: its HTML, style and scripts. The browser's own count of a file that it has from
 * its cache may be 0, so they are read again, from that cache. */
async function pageBytes() {
  const isPart = (name) => /\.(mjs|css)$/.test(new URL(name).pathname);
  const names = performance.getEntriesByType("resource").map(({ name }) => name);
  const own = new URL("worker.mjs", location.href).href;
  const parts = [location.href, ...new Set([own, ...names, ...opened.scripts].filter(isPart))];
  const read = async (name) => (await fetch(name, { cache: "force-cache" })).arrayBuffer();
  return (await Promise.all(parts.map(read))).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

async function embed() {
  const texts = $("texts").value.split("\n").filter((line) => line.trim());
  if (texts.length > MOST_SENTENCES)
    throw new Error(`${texts.length} sentences: at most ${MOST_SENTENCES} fit into the table`);
  const { similarities, fresh, milliseconds } = await ask("embed", texts);
  showSimilarities($("similarities"), texts, similarities);
  const speed = fresh ? `, ${milliseconds.toFixed(1)} ms a sentence` : "";
  say(`${inUse}: ${texts.length} sentences${speed}.`);
  $("error").hidden = true;
  document.body.dataset.state = "ready";
}

async function checkAll(names) {
  delete document.body.dataset.check;
  const results = [];
  for (const variant of names) {
    begin(`Checking ${variant}…`);
    const tell = ({ done }) => say(`Checking ${variant}: ${done} texts…`);
    results.push(await ask("check", variant, tell).catch(({ message }) => ({ variant, problem: message })));
    showChecks($("checks"), results);
    $("left-out").hidden = !results.some(({ leftOut }) => leftOut);
    $("checked").hidden = false;
  }
  const failed = results.filter(({ ok }) => !ok).length;
  say(`${results.length - failed} of ${results.length} graphs are as near to golden.jsonl as they must be.`);
  document.body.dataset.state = "ready";
  document.body.dataset.check = failed ? "failed" : "passed";
}

const allNames = () => opened.variants.map(({ name }) => name);
let pause;
$("texts").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => inUse && then(embed), TYPING_PAUSE);
});
$("variant").addEventListener("change", ({ target }) => then(() => choose(target.value)));
$("check").addEventListener("click", () => then(() => checkAll(allNames())));

await then(async () => {
  await load();
  await choose($("variant").value);
  const asked = options.get("check");
  if (asked) await checkAll(asked === "1" ? allNames() : asked.split(","));
});
