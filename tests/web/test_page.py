"""The page and the node example: the vectors of a bundle, computed by ONNX Runtime in Chromium and in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirrorkit
from mirrorkit.formats.bundle import record_files
from tests.conftest import REAL_TEXTS, ROOT
from tests.web.chromium import Chromium
from tests.web.scripts import CONTRAST, DONE, FINISHED, VECTORS
from tests.web.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.web]

WEB, NODE = ROOT / "export" / "web", ROOT / "export" / "node"
# Of a component. A sum in another order moves a value over the edge between two steps of a quantised graph.
TOLERANCE = {"fp32": 1e-5, "fp32-fused": 1e-5, "fp16": 2e-4, "int8": 4e-3, "int8-fused": 4e-3, "int4": 5e-3}
TEXTS = [*REAL_TEXTS, "ΣΑΣ ΟΔΟΣ", "\U00020000\U00020001 \U0002f800", "a \ud800 b", "[CLS] [MASK] [SEP]", "word " * 200]


@pytest.fixture(scope="module")
def site(bundle: Path) -> Iterator[Site]:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = bundle.parent / "served"
    done = _setup(bundle, folder)
    assert done.returncode == 0, done.stderr
    with Site(folder) as site:
        yield site


def _setup(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return _run("bash", WEB / "setup", *arguments)


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def _table(browser: Chromium, name: str) -> list[list[str]]:
    rows = f"[...document.querySelectorAll('#{name} tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    table: list[list[str]] = browser.evaluate(rows)
    return table


def _text(browser: Chromium, name: str) -> str:
    return str(browser.evaluate(f"document.getElementById('{name}').innerText"))


@pytest.mark.parametrize("variant", TOLERANCE)
def test_vectors_in_the_browser_are_those_of_python(variant: str, site: Site, browser: Chromium, bundle: Path) -> None:
    browser.open(f"{site.address}?variant=int8")
    browser.wait(DONE)
    vectors = browser.evaluate(VECTORS % (json.dumps(variant), json.dumps(TEXTS)))
    expected = mirrorkit.Encoder(bundle, variant, threads=1).encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=TOLERANCE[variant])
    if variant in ("int8", "int8-fused", "int4"):  # and it is that graph's vectors, not merely something like fp32's
        exact = mirrorkit.Encoder(bundle, "fp32", threads=1).encode(TEXTS)
        assert np.linalg.norm(vectors - expected) < 0.35 * np.linalg.norm(exact - expected)


def test_the_check_passes_for_every_graph(site: Site, browser: Chromium, bundle: Path) -> None:
    browser.open(f"{site.address}?check=1")
    browser.wait(FINISHED)
    head, *rows = _table(browser, "checks")
    assert head[2:5] == ["Largest difference", "Lowest cosine", "Token ids"]
    assert [row[0] for row in rows] == list(TOLERANCE)
    assert {(row[1], row[4]) for row in rows} == {("ok", "same")}
    assert browser.evaluate("document.body.dataset.check") == "passed"
    differences = {row[0]: float(row[2].split()[0]) for row in rows}
    assert differences["fp32"] <= TOLERANCE["fp32"]
    report = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))["variants"]["int8"]["report"]
    assert 0 < differences["int8"] <= 1.5 * report["max_abs"]
    assert browser.complaints == []


def _with_goldens(bundle: Path, rows: list[dict[str, Any]]) -> dict[str, bytes | None]:
    """Return what a server must change for golden.jsonl to hold these rows, on record as they are."""
    copy = bundle.parent / "changed"
    shutil.copytree(bundle, copy, dirs_exist_ok=True)
    (copy / "golden.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    manifest = json.loads((copy / "mirrorkit.json").read_text(encoding="utf-8"))
    manifest["files"] = {name: asdict(record) for name, record in record_files(copy).items()}
    (copy / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    return {f"/bundle/{name}": (copy / name).read_bytes() for name in ("golden.jsonl", "mirrorkit.json")}


@pytest.fixture
def changed(bundle: Path) -> tuple[dict[str, bytes | None], Path]:
    """Return a golden.jsonl with one wrong component and one wrong id, for a server and as a bundle."""
    rows = [json.loads(line) for line in (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    rows[40]["embedding"][5] += 1e-3
    rows[41]["input_ids"][1] += 1
    return _with_goldens(bundle, rows), bundle.parent / "changed"


def test_the_check_finds_what_differs(
    site: Site, browser: Chromium, changed: tuple[dict[str, bytes | None], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "changed", changed[0])
    browser.open(f"{site.address}?check=fp32")
    browser.wait(FINISHED)
    (row,) = _table(browser, "checks")[1:]
    assert row[:2] == ["fp32", "FAIL"]
    assert float(row[2].split()[0]) == pytest.approx(1e-3, rel=0.05)
    assert row[4] == "1 differ"
    assert browser.evaluate("document.body.dataset.check") == "failed"
    assert "other ids than Python for 1 of 64 texts" in _text(browser, "warning")


def test_what_is_typed_is_embedded_without_a_network(site: Site, browser: Chromium, bundle: Path) -> None:
    browser.open(f"{site.address}?variant=fp32")
    browser.wait(DONE)
    assert all(address.startswith((site.address, "data:")) for address in browser.requests)
    fetched = browser.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert any(name.endswith("worker.mjs") for name in browser.requests)
    assert not [
        name for name in fetched if name.endswith((".wasm", ".onnx", ".json", ".jsonl"))
    ]  # all of it the worker's
    texts = ["The cat sat on the mat.", "<b>A cat</b> sat on a mat.", "Interest rates rose again."]
    typed = json.dumps("\n".join(["", *texts, "  "]))
    browser.go_offline()
    browser.evaluate(f"texts.value = {typed}; texts.dispatchEvent(new Event('input'))")
    browser.wait("document.querySelectorAll('#similarities tbody tr').length === 3")
    browser.go_offline(False)
    head, *rows = _table(browser, "similarities")
    assert head == ["Sentence", "1", "2", "3"]
    assert [row[0] for row in rows] == [f"{i} {text}" for i, text in enumerate(texts, 1)]
    vectors = mirrorkit.Encoder(bundle, "fp32", threads=1).encode(texts)
    shown = [[float(value.replace("−", "-")) for value in row[1:]] for row in rows]
    np.testing.assert_allclose(shown, vectors @ vectors.T, rtol=0, atol=0.0051)
    assert browser.complaints == []


def _megabytes(count: int) -> float:
    """Round as people read sizes: two digits below 1 MB, one below 10."""
    return round(count / 1e6, 2 if count < 1e6 else 1 if count < 1e7 else 0)


def test_sizes_and_load_times_are_those_of_the_files(site: Site, browser: Chromium, bundle: Path) -> None:
    browser.open(f"{site.address}?variant=int8&budget=10")
    browser.wait(DONE)
    rows = {row[0]: row[1:] for row in _table(browser, "sizes")[1:]}
    served = bundle.parent / "served"
    model = (bundle / "onnx" / "model_quantized.onnx").stat().st_size
    runtime = (served / "vendor" / "ort-wasm-simd-threaded.wasm").stat().st_size
    scripts = [*served.glob("*.*"), *served.glob("vendor/**/*.mjs")]
    settings = [bundle / name for name in ("mirrorkit.json", "golden.jsonl", "tokenizer.json")]
    settings.append(served / "vendor" / "mirrorkit" / "wasm" / "tokenizer.wasm")
    sums = [sum(file.stat().st_size for file in files) for files in (scripts, settings)]
    sizes = [float(row[0].removesuffix(" MB")) for row in rows.values()]
    wanted = [sums[0], runtime, sums[1], model, model + runtime + sum(sums)]
    assert sizes == [_megabytes(count) for count in wanted]
    assert all(float(row[1].removesuffix(" s")) > 0 for row in list(rows.values())[1:])
    assert "Over the budget of 10 MB" in _text(browser, "budget")


@pytest.mark.parametrize(("dark", "width"), [(False, 1100), (True, 1100), (False, 360), (True, 360)])
def test_it_is_legible(dark: bool, width: int, site: Site, browser: Chromium, tmp_path: Path) -> None:
    browser.open(f"{site.address}?check=fp32", dark=dark, width=width)
    browser.wait(FINISHED)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(CONTRAST) >= 4.5
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


BROKEN = {
    "no bundle": ({"/bundle/mirrorkit.json": None}, "bundle/mirrorkit.json: missing (HTTP 404)"),
    "not JSON": ({"/bundle/mirrorkit.json": b"{"}, "mirrorkit.json: not readable as JSON"),
    "a later schema": ({"/bundle/mirrorkit.json": b'{"schema_version": 9}'}, "schema 9, this release reads up to 3"),
    "no graph": ({"/bundle/onnx/model_quantized.onnx": None}, "model_quantized.onnx: missing (HTTP 404)"),
    "a short graph": ({"/bundle/onnx/model_quantized.onnx": b"short"}, "has 5 bytes, mirrorkit.json says"),
    "no runtime": ({"/vendor/ort-wasm-simd-threaded.wasm": None}, "ort-wasm-simd-threaded.wasm: missing (HTTP 404)"),
    "no tokenizer": ({"/vendor/mirrorkit/wasm/tokenizer.wasm": None}, "wasm/tokenizer.wasm: missing (HTTP 404)"),
    "no script": ({"/vendor/ort.wasm.bundle.min.mjs": None}, "vendor/ort.wasm.bundle.min.mjs: cannot be loaded"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_missing_is_one_line(what: str, site: Site, browser: Chromium, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, line = BROKEN[what]
    monkeypatch.setattr(site, "changed", changes)
    browser.open(site.address)
    _expect_error(browser, line)


def test_a_changed_file_is_refused(
    site: Site, browser: Chromium, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = bytearray((bundle / "tokenizer.json").read_bytes())
    raw[len(raw) // 2] ^= 1
    monkeypatch.setattr(site, "changed", {"/bundle/tokenizer.json": bytes(raw)})
    browser.open(site.address)
    _expect_error(browser, "tokenizer.json: changed or damaged")


def test_what_a_browser_lacks_or_a_bundle_lacks_is_one_line(site: Site, browser: Chromium) -> None:
    browser.open(site.address, first="delete globalThis.WebAssembly")
    _expect_error(browser, "this browser has no WebAssembly")
    browser.open(f"{site.address}?variant=int2")
    _expect_error(browser, "variant int2: this bundle holds fp32, fp32-fused, fp16, int8, int8-fused, int4")


def test_opened_as_a_file_it_says_how_to_serve_it(browser: Chromium) -> None:
    browser.open((WEB / "index.html").as_uri())
    assert "python3 -m http.server" in _text(browser, "status")


def _expect_error(browser: Chromium, line: str) -> None:
    browser.wait(DONE)
    assert browser.evaluate("document.body.dataset.state") == "error"
    shown = _text(browser, "error")
    assert line in shown
    assert "\n" not in shown


def test_setup_says_what_is_wrong(bundle: Path, tmp_path: Path) -> None:
    for arguments, line in (
        ([bundle], "usage: bash export/web/setup BUNDLE OUT_DIR [VARIANT...]"),
        ([tmp_path, tmp_path / "out"], f"{tmp_path}: no mirrorkit.json in it"),
        ([bundle, tmp_path], f"{tmp_path} exists already"),
        ([bundle, tmp_path / "no" / "out"], "cannot be written"),
    ):
        done = _setup(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert line in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_setup_copies_the_variants_that_are_named(bundle: Path, tmp_path: Path) -> None:
    done = _setup(bundle, tmp_path / "site", "int8", "int8-fused")
    assert done.returncode == 0, done.stderr
    copied = {file.name for file in (tmp_path / "site" / "bundle" / "onnx").iterdir()}
    assert copied == {"model_quantized.onnx", "model_fused_quantized.onnx"}
    manifest = json.loads((tmp_path / "site" / "bundle" / "mirrorkit.json").read_text(encoding="utf-8"))
    assert list(manifest["variants"]) == ["int8", "int8-fused"]
    done = _setup(bundle, tmp_path / "other", "int2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "variant int2: this bundle holds fp32" in done.stderr
    linked = Path(shutil.copytree(bundle, tmp_path / "linked"))
    shutil.move(linked / "golden.jsonl", tmp_path / "elsewhere")
    (linked / "golden.jsonl").symlink_to(tmp_path / "elsewhere")
    assert "is a link that leads out of the folder" in _setup(linked, tmp_path / "other").stderr
    assert not (tmp_path / "other").exists()


def test_node_gives_the_vectors_of_python(node: str, bundle: Path) -> None:
    done = _run(node, NODE / "check.mjs", bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()[:-1]] == [f"{name}:" for name in TOLERANCE]
    texts = [text for text in REAL_TEXTS if not text.startswith("-")]
    for variant in ("fp32", "int8"):
        done = _run(node, NODE / "embed.mjs", bundle, "--variant", variant, *texts)
        vectors = [json.loads(line) for line in done.stdout.splitlines()]
        expected = mirrorkit.Encoder(bundle, variant, threads=1).encode(texts)
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=TOLERANCE[variant])


def test_node_takes_what_the_bundle_says_is_the_best(node: str, bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    manifest = json.loads((folder / "mirrorkit.json").read_text(encoding="utf-8"))
    texts = [text for text in REAL_TEXTS if not text.startswith("-")]
    for best in ("int4", "fp16"):
        manifest["preference"] = {"cpu": ["none", best, "int8"]}
        (folder / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
        vectors = [json.loads(line) for line in _run(node, NODE / "embed.mjs", folder, *texts).stdout.splitlines()]
        encoder = mirrorkit.Encoder(folder, threads=1)
        assert encoder.variant == best
        np.testing.assert_allclose(vectors, encoder.encode(texts), rtol=0, atol=TOLERANCE[best])
    manifest["preference"] = {"cpu": "int4"}
    (folder / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert "preference for cpu must be a list" in _run(node, NODE / "embed.mjs", folder, "a text").stderr


def test_node_finds_what_differs(
    node: str, changed: tuple[dict[str, bytes | None], Path], bundle: Path, tmp_path: Path
) -> None:
    done = _run(node, NODE / "check.mjs", changed[1], "fp32")
    assert done.returncode == 1
    assert "FAIL fp32: 64 of 64 texts, token ids of 1 differ, largest difference 1.00e-3" in done.stdout
    for arguments, line in (
        (["embed.mjs", changed[1], "a text"], "gives other ids here for 1 golden texts"),
        (["embed.mjs", tmp_path, "a text"], "so this is not a bundle"),
        (["embed.mjs", bundle, "--variant", "int2", "a text"], "variant int2: this bundle holds"),
        (["check.mjs"], "usage: node check.mjs BUNDLE"),
    ):
        done = _run(node, NODE / str(arguments[0]), *arguments[1:])
        assert (done.returncode, done.stdout) == (2, "")
        (said,) = done.stderr.splitlines()
        assert line in said
