// The page: load the bundle, embed what is typed, show how similar it is, check every precision when asked.
// For tests and screenshots `document.body.dataset` tells `state` (loading, ready, error) and `check` (passed, failed).
import { open } from "./browser.mjs";
import { BundleError, firstLine } from "./bundle.mjs";
import { check, textsWithOtherIds } from "./golden.mjs";
import { megabytes, showChecks, showSimilarities, showSizes } from "./tables.mjs";

const MOST_SENTENCES = 24;
const TYPING_PAUSE = 250; // milliseconds without a key before the vectors are computed anew
const BUDGET = 50e6; // bytes that a visitor may have to load; ?budget=MB sets another

const $ = (id) => document.getElementById(id);
const options = new URLSearchParams(location.search);
const budget = Number(options.get("budget")) * 1e6 || BUDGET;
let opened, encoder;
const vectors = new Map(); // text -> vector of the encoder in use
let work = Promise.resolve(); // one thing at a time: all of it shares one thread

function then(job) {
  work = work.then(job).catch(fail);
  return work;
}

function fail(error) {
  if (!(error instanceof BundleError)) console.error(error);
  document.body.dataset.state = "error";
  $("error").textContent = firstLine(error);
  $("error").hidden = false;
  say("");
}

function say(text) {
  $("status").textContent = text;
}

/** Let the browser draw: the computing that follows blocks its only thread. */
function drawn() {
  return new Promise((done) => setTimeout(done));
}

function begin(text) {
  document.body.dataset.state = "loading";
  $("error").hidden = true;
  say(text);
  return drawn();
}

async function load() {
  await begin("Loading ONNX Runtime and the tokenizer…");
  opened = await open();
  const { bundle } = opened;
  const { architecture, dim, max_length: length } = bundle.manifest;
  const what = `${architecture}, ${dim} dimensions, up to ${length} tokens`;
  $("about").textContent = `${what}. Nothing typed here leaves this page.`;
  for (const name of bundle.variants)
    $("variant").append(new Option(`${name}, ${megabytes(bundle.size(name))}`, name));
  await warn(bundle);
  $("variant").value = bundle.choose(options.get("variant") ?? "auto");
  for (const id of ["variant", "check"]) $(id).disabled = false;
}

async function warn(bundle) {
  const wrong = (await textsWithOtherIds(bundle)).length;
  const all = (await bundle.golden()).length;
  $("warning").hidden = !wrong;
  $("warning").textContent = `Wrong vectors: this tokenizer gives other ids than Python for ${wrong} of ${all} texts.`;
}

async function choose(name) {
  await begin(`Loading ${name}, ${megabytes(opened.bundle.size(name))}…`);
  await encoder?.release();
  encoder = undefined;
  vectors.clear();
  const start = performance.now();
  encoder = await opened.bundle.open(name);
  showLoaded(name, (performance.now() - start) / 1000);
  await embed();
}

function showLoaded(name, modelSeconds) {
  const { pageBytes, runtimeBytes, settingsBytes, runtimeSeconds, settingsSeconds, bundle } = opened;
  const parts = [
    { name: "Page and scripts", bytes: pageBytes },
    { name: "ONNX Runtime, WebAssembly", bytes: runtimeBytes, seconds: runtimeSeconds },
    { name: "Tokenizer and settings", bytes: settingsBytes, seconds: settingsSeconds },
    { name: `Model, ${name}`, bytes: bundle.size(name), seconds: modelSeconds },
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

async function embed() {
  const texts = $("texts").value.split("\n").filter((line) => line.trim());
  if (texts.length > MOST_SENTENCES)
    throw new BundleError(`${texts.length} sentences: at most ${MOST_SENTENCES} fit into the table`);
  const start = performance.now();
  const fresh = [...new Set(texts)].filter((text) => !vectors.has(text));
  for (const text of fresh) {
    vectors.set(text, await encoder.encode(text));
    await drawn();
  }
  const spent = performance.now() - start;
  const alike = (a, b) => opened.bundle.similarity(a, b);
  showSimilarities($("similarities"), texts, texts.map((a) => texts.map((b) => alike(vectors.get(a), vectors.get(b)))));
  const speed = fresh.length ? `, ${(spent / fresh.length).toFixed(1)} ms a sentence` : "";
  say(`${encoder.name}: ${texts.length} sentences${speed}.`);
  $("error").hidden = true;
  document.body.dataset.state = "ready";
}

async function checkAll(names) {
  const { bundle } = opened;
  delete document.body.dataset.check;
  const results = [];
  for (const variant of names) {
    await begin(`Checking ${variant}…`);
    let tried;
    try {
      tried = await bundle.open(variant);
      results.push(await check(bundle, tried, (n) => (say(`Checking ${variant}: ${n} texts…`), drawn())));
    } catch (error) {
      results.push({ variant, problem: firstLine(error) });
    } finally {
      await tried?.release();
    }
    showChecks($("checks"), results);
    $("left-out").hidden = !results.some(({ leftOut }) => leftOut);
    $("checked").hidden = false;
  }
  const failed = results.filter(({ ok }) => !ok).length;
  say(`${results.length - failed} of ${results.length} graphs are as near to golden.jsonl as they must be.`);
  document.body.dataset.state = "ready";
  document.body.dataset.check = failed ? "failed" : "passed";
}

let pause;
$("texts").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => encoder && then(embed), TYPING_PAUSE);
});
$("variant").addEventListener("change", ({ target }) => then(() => choose(target.value)));
$("check").addEventListener("click", () => then(() => checkAll(opened.bundle.variants)));

await then(async () => {
  await load();
  await choose($("variant").value);
  const asked = options.get("check");
  if (asked) await checkAll(asked === "1" ? opened.bundle.variants : asked.split(","));
});
