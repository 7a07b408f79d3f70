// The page's tables, made of text nodes alone: whatever is typed, nothing of it is ever read as HTML.

const seconds = (value) => (value === undefined ? "" : `${value.toFixed(2)} s`);

/** Fill a table with how alike each pair is: numbers in the cells, a colour that says the same. */
export function showSimilarities(table, texts, similarities) {
  const numbers = texts.map((_, i) => cell("th", i + 1, { scope: "col" }));
  const head = row(cell("th", "Sentence", { scope: "col" }), ...numbers);
  const rows = texts.map((text, i) => {
    const label = cell("th", "", { scope: "row", title: text });
    const number = element("span", `${i + 1}`, { className: "number" });
    label.append(number, " ", element("span", text, { className: "text" }));
    return row(label, ...similarities[i].map((value) => heat(value)));
  });
  fill(table, [head], rows);
}

/** Fill a table with what was loaded: `parts` are `{ name, bytes, seconds }`, the last the sum. */
export function showSizes(table, parts) {
  const rows = parts.map(({ name, bytes, seconds: time }) =>
    row(cell("th", name, { scope: "row" }), cell("td", megabytes(bytes)), cell("td", seconds(time))),
  );
  rows.at(-1).className = "sum";
  fill(table, [header("Part", "Size", "Load")], rows);
}

/** Fill a table with the results of golden.mjs, or `{ variant, problem }` where a variant does not run. */
export function showChecks(table, results) {
  const rows = results.map((result) => {
    const name = cell("th", result.variant, { scope: "row" });
    if (result.problem) return row(name, verdict(false), cell("td", result.problem, { colSpan: 5, className: "bad" }));
    const { texts, leftOut, idsDiffer, difference, cosine, allowed, milliseconds, ok } = result;
    const cells = [
      `${difference.toExponential(1)} (≤ ${allowed.difference})`,
      cosine.toFixed(5),
      idsDiffer ? `${idsDiffer} differ` : "same",
      `${texts - leftOut} of ${texts}`,
      milliseconds.toFixed(1),
    ];
    return row(name, verdict(ok), ...cells.map((value) => cell("td", value)));
  });
  const names = ["Graph", "", "Largest difference", "Lowest cosine", "Token ids", "Texts", "ms a text"];
  fill(table, [header(...names)], rows);
}

/** Return `2.3 MB` for a number of bytes. */
export function megabytes(bytes) {
  const digits = bytes < 1e6 ? 2 : bytes < 1e7 ? 1 : 0;
  return `${(bytes / 1e6).toFixed(digits)} MB`;
}

function heat(value) {
  const td = cell("td", value.toFixed(2).replace("-0.00", "0.00").replace("-", "−"), { className: "heat" });
  td.style.setProperty("--share", `${Math.round(100 * Math.min(1, Math.max(0, value)))}%`);
  return td;
}

function verdict(ok) {
  return cell("td", ok ? "ok" : "FAIL", { className: ok ? "ok" : "bad" });
}

function header(...names) {
  return row(...names.map((name) => cell("th", name, { scope: "col" })));
}

function fill(table, head, body) {
  table.tHead.replaceChildren(...head);
  table.tBodies[0].replaceChildren(...body);
}

function row(...cells) {
  const tr = document.createElement("tr");
  tr.append(...cells);
  return tr;
}

function cell(kind, value, properties = {}) {
  return element(kind, String(value), properties);
}

function element(kind, text, properties) {
  return Object.assign(document.createElement(kind), { textContent: text }, properties);
}
