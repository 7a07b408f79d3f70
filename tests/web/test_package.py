"""The npm package as its users have it: packed, installed into an empty project, run in node and in a worker."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirrorkit
from tests.conftest import REAL_TEXTS, ROOT
from tests.web.chromium import Chromium
from tests.web.consumer import run
from tests.web.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.web]

JS = ROOT / "export" / "js"
TOLERANCE = {"fp32-fused": 1e-5, "int8": 4e-3, "int8-fused": 4e-3}  # of a component, as in test_page.py
# Ragged, so that a batch has padding and the order that it is encoded in is another than the one asked for.
TEXTS = [*REAL_TEXTS, "", "a", *(f"{'more words ' * (i % 40)}of text {i}" for i in range(60)), "a \ud800 b"]
Drive = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def in_node(project: Path) -> Drive:
    return lambda job: dict(json.loads(run("node", "node.mjs", cwd=project, given=json.dumps(job))))


@pytest.fixture
def in_worker(built: Site, browser: Chromium) -> Drive:
    browser.open(f"{built.address}index.html")
    return lambda job: dict(browser.evaluate(f"ask({json.dumps(job)})"))


def test_what_is_published(project: Path) -> None:
    (about,) = json.loads(run("npm", "pack", "--dry-run", "--json", cwd=JS))
    sources = {f"src/{file.name}" for file in (JS / "src").iterdir()}
    others = {"LICENSE", "README.md", "package.json", "wasm/tokenizer.wasm", "wasm/NOTICE"}
    assert {file["path"] for file in about["files"]} == others | sources
    assert about["version"] == mirrorkit.__version__
    assert about["unpackedSize"] < 520_000
    installed = project / "node_modules" / "mirrorkit"
    assert (installed / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_its_types_hold(project: Path) -> None:
    run("npx", "--no-install", "tsc", "-p", ".", cwd=project)
    types = (JS / "src" / "index.d.ts").read_text(encoding="utf-8")
    names = {
        kind: re.findall(
            r"^  (?:readonly )?(\w+)[(:?]", re.findall(rf"interface {kind} {{\n(.*?)^}}", types, re.M | re.S)[0], re.M
        )
        for kind in ("Encoder", "Bundle")
    }
    script = f"""
      const names = {json.dumps(names)};
      const {{ Encoder }} = await import("./node_modules/mirrorkit/src/encoder.mjs");
      const {{ Bundle }} = await import("./node_modules/mirrorkit/src/bundle.mjs");
      const missing = [];
      for (const [kind, of] of Object.entries({{ Encoder, Bundle }})) {{
        const source = of.toString();
        const has = (name) => name in of.prototype || source.includes(`this.${{name}} =`);
        missing.push(...names[kind].filter((name) => !has(name)));
      }}
      const entries = await Promise.all([import("mirrorkit"), import("mirrorkit/webgpu")]);
      console.log(JSON.stringify([missing, ...entries.map(Object.keys)]));
    """
    missing, *exported = json.loads(run("node", "--input-type=module", "-e", script, cwd=project))
    assert missing == []
    values = sorted(re.findall(r"^export (?:function|class) (\w+)", types, re.M))
    assert values == ["MirrorkitError", "openBundle", "openManifest"]
    assert list(map(sorted, exported)) == [values, values]


def _expect_python(found: dict[str, Any], bundle: Path, wanted: str, texts: list[str]) -> None:
    encoder = mirrorkit.Encoder(bundle, wanted, threads=1)
    assert (found["variant"], found["fingerprint"]) == (encoder.variant, encoder.fingerprint)
    assert (found["dim"], found["verified"]) == (encoder.dim, True)
    plain, queries, short = found["results"]
    expected = [
        encoder.encode(texts),
        encoder.encode(texts, prompt="search for: "),
        encoder.encode(texts, truncate_dim=9, normalize=True),
    ]
    for vectors, exact in zip((plain, queries, short), expected, strict=True):
        np.testing.assert_allclose(
            vectors["vectors"], exact, rtol=0, atol=TOLERANCE[encoder.variant] * (1 + (exact.shape[1] == 9))
        )
    done = [one["done"] for one in plain["progress"]]
    assert done == sorted(set(done))
    assert done[-1] == plain["progress"][-1]["total"] == len(texts)
    assert len(done) > 3
    loaded = [one["loaded"] for one in found["loading"]]
    assert loaded == sorted(loaded)
    assert loaded[-1] == found["loading"][-1]["total"] == found["loading"][0]["total"]
    assert found["closed"] == {"error": "the encoder is closed", "kind": "MirrorkitError", "ours": True}


def test_the_readme_runs(project: Path, bundle: Path) -> None:
    text = (JS / "README.md").read_text(encoding="utf-8")
    program = re.findall(r"^## node\n\n```js\n(.*?)^```", text, re.M | re.S)[0]
    (project / "readme.mjs").write_text(program, encoding="utf-8")
    (project / "my-bundle").symlink_to(bundle)
    variant, dim, alike = run("node", "readme.mjs", cwd=project).split()
    encoder = mirrorkit.Encoder(bundle, threads=1)
    one, another = encoder.encode(["How do I reset my password?", "I forgot my login."])
    assert (variant, int(dim)) == (encoder.variant, encoder.dim)
    assert float(alike) == pytest.approx(float(one @ another), abs=0.02)


CALLS = [
    {"texts": TEXTS, "options": {}},
    {"texts": TEXTS, "options": {"prompt": "search for: "}},
    {"texts": TEXTS, "options": {"truncateDim": 9, "normalize": True}},
]


@pytest.mark.parametrize("wanted", ["auto", "fp32"])
def test_node_gives_the_vectors_of_python(wanted: str, in_node: Drive, bundle: Path) -> None:
    found = in_node({"place": str(bundle), "options": {"variant": wanted}, "calls": CALLS})
    assert found["provider"] == "cpu"
    _expect_python(found, bundle, wanted, TEXTS)


def test_node_opens_a_bundle_on_a_server(in_node: Drive, bundle: Path) -> None:
    with Site(bundle.parent) as site:
        found = in_node({"place": f"{site.address}bundle?key=s3cret", "options": {"variant": "fp32"}, "calls": CALLS})
        _expect_python(found, bundle, "fp32", TEXTS)  # a fused graph, which has its weights in a second file
        missing = in_node({"place": f"{site.address}nowhere?key=s3cret"})
    assert missing["error"] == f"{site.address}nowhere/mirrorkit.json: missing (HTTP 404)"
    gone = in_node({"place": f"{site.address}bundle?key=s3cret"})
    assert "the server does not answer" in gone["error"]
    assert "s3cret" not in gone["error"]


def test_a_worker_built_by_vite_gives_the_vectors_of_python(in_worker: Drive, browser: Chromium, bundle: Path) -> None:
    found = in_worker({"place": "bundle", "options": {}, "calls": CALLS})
    assert (found["variant"], found["provider"]) == ("int8", "wasm")
    _expect_python(found, bundle, "onnx/model_quantized.onnx", TEXTS)
    graphs = [address for address in browser.requests if address.endswith(".onnx")]
    assert [address.rpartition("/")[2] for address in graphs] == ["model_quantized.onnx"]
    assert browser.complaints == []


@pytest.mark.parametrize("where", ["node", "worker"])
def test_it_can_be_stopped(where: str, request: pytest.FixtureRequest, bundle: Path) -> None:
    drive: Drive = request.getfixturevalue(f"in_{where}")
    place = str(bundle) if where == "node" else "bundle"
    small = {"batchTokens": 64}
    calls = [
        {"texts": TEXTS, "options": small, "abortAfter": 2},
        {"texts": TEXTS * 4, "options": small, "abortSoon": True},
        {"texts": TEXTS, "options": small},
    ]
    first, second, third = drive({"place": place, "calls": calls})["results"]
    for stopped in (first, second):
        assert (stopped["kind"], stopped["ours"]) == ("AbortError", False)
        assert len(stopped["progress"]) < len(third["progress"])
    assert len(first["progress"]) == 2
    assert len(third["vectors"]) == len(TEXTS)  # the others end nothing but themselves
    for file in ("tokenizer.json", "onnx/model_quantized.onnx"):
        stopped = drive({"place": place, "abortAt": file})
        assert stopped["kind"] == "AbortError"
        assert stopped["loading"][-1]["file"] == file


WRONG = {
    "texts: must be a string or an array of strings, not 5": {"texts": 5},
    "texts[1]: must be a string, not null": {"texts": ["a", None]},
    "truncateDim 0: must be a whole number above 0": {"texts": "a", "options": {"truncateDim": 0}},
    "batchTokens 1.5: must be a whole number above 0": {"texts": "a", "options": {"batchTokens": 1.5}},
    "prompt passage: the model has none": {"texts": "a", "options": {"promptName": "passage"}},
    "prompt 7: must be a string": {"texts": "a", "options": {"prompt": 7}},
    "normalize yes: must be true or false": {"texts": "a", "options": {"normalize": "yes"}},
    "normalize false: the graph of this bundle normalises, so its own lengths are lost": {
        "texts": "a",
        "options": {"normalize": False},
    },
}


def test_what_cannot_be_is_one_line(in_node: Drive, bundle: Path) -> None:
    found = in_node({"place": str(bundle), "calls": [*WRONG.values(), {"texts": []}, {"texts": "a"}]})
    *wrong, nothing, one = found["results"]
    assert [result["error"] for result in wrong] == list(WRONG)
    assert all(result["ours"] for result in wrong)
    assert (nothing["vectors"], len(one["vectors"])) == ([], 1)
    for job, line in (
        ({"place": ""}, "bundle : must be a path or an address"),
        ({"place": "file://elsewhere/bundle"}, "not the address of a folder"),
        ({"place": str(bundle), "options": {"variant": "int2"}}, "variant int2: this bundle holds fp32,"),
        ({"place": str(bundle), "options": {"provider": "cuda"}}, "provider cuda: must be cpu in node"),
        ({"place": "http://me:s3cret@127.0.0.1:9/"}, "the address of the bundle has a password in it"),
    ):
        said = in_node(job)
        assert line in said["error"]
        assert said["ours"]
        assert "\n" not in said["error"]
        assert "s3cret" not in said["error"]


def test_a_bundle_kept_in_part_and_a_damaged_one(in_node: Drive, bundle: Path, tmp_path: Path) -> None:
    part = Path(shutil.copytree(bundle, tmp_path / "part"))
    for file in ("model_quantized.onnx", "model_fused.onnx"):
        (part / "onnx" / file).unlink()
    assert in_node({"place": str(part)})["variant"] == mirrorkit.Encoder(part).variant == "fp32"
    said = in_node({"place": str(part), "options": {"variant": "int8"}})["error"]
    assert said == "variant int8: this bundle holds fp32, fp16, int4"
    (part / "onnx" / "model.onnx").write_bytes(b"short")
    assert "onnx/model.onnx: has 5 bytes" in in_node({"place": str(part)})["error"]
    rows = (part / "golden.jsonl").read_bytes()
    (part / "golden.jsonl").write_bytes(rows.replace(b"0", b"1", 1))
    assert "golden.jsonl: changed or damaged" in in_node({"place": str(part)})["error"]


def test_the_browser_keeps_what_it_has_loaded(
    built: Site, browser: Chromium, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(keep: bool = True) -> tuple[dict[str, Any], int]:
        browser.open(f"{built.address}index.html", keep=keep)
        found = browser.evaluate('ask({ place: "bundle", calls: [{ texts: "a text" }] })')
        return found, sum(address.endswith((".onnx", "tokenizer.json")) for address in browser.requests)

    first, loaded = opened(keep=False)
    again, loaded_again = opened()
    assert (loaded, loaded_again) == (2, 0)
    assert again["results"] == first["results"]
    assert again["loading"][-1] == first["loading"][-1]
    spoil = """(async () => {
      const cache = await caches.open("mirrorkit");
      const keys = await cache.keys();
      for (const key of keys) await cache.put(key, new Response("spoilt"));
      return keys.length;
    })()"""
    assert browser.evaluate(spoil) == 3  # graph, tokenizer, goldens
    mended, loaded = opened()
    assert (loaded, mended["results"]) == (2, first["results"])
    other = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))  # another model under the same address
    raw = (bundle / "tokenizer.json").read_bytes() + b"\n"
    other["files"]["tokenizer.json"] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    changed = {"/bundle/mirrorkit.json": json.dumps(other).encode(), "/bundle/tokenizer.json": raw}
    monkeypatch.setattr(built, "changed", changed)
    newer, loaded = opened()
    assert (loaded, newer["fingerprint"] != first["fingerprint"]) == (1, True)
    assert browser.evaluate('caches.open("mirrorkit").then((cache) => cache.keys()).then((keys) => keys.length)') == 3
