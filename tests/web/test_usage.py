"""Prompts, dimensions, lengths and similarity in node and in the browser: what Python gives for the same bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the export extra")
pytest.importorskip("sentence_transformers")

from mirrorkit.runtime.encoder import Encoder
from tests.bundles import add_goldens, make_bundle
from tests.conftest import ROOT
from tests.formats.bodies import OTHER_BODIES
from tests.formats.layouts import LAYOUTS
from tests.formats.making import TEXTS, Base
from tests.web.chromium import Chromium, find_chromium
from tests.web.scripts import DONE, LOADED
from tests.web.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.web]

WEB, NODE = ROOT / "export" / "web", ROOT / "export" / "node"
TOLERANCE = 1e-5  # of a component, fp32
NAMES = (
    "everything",  # a default prompt, cls+mean and a dense layer, truncated, no unit length, dot
    "include_prompt false (INSTRUCTOR)",
    "truncation_side left",
    "euclidean (gtr)",
    "StaticEmbedding, Normalize",
)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"prompt_name": "query"},
    {"prompt": "x y: "},
    {"prompt": "", "truncate_dim": 5},
    {"truncate_dim": 7, "normalize": True},
]
FLAGS = {"prompt": "--prompt", "prompt_name": "--prompt-name", "truncate_dim": "--truncate-dim"}
# With texts and a list of options as JSON: for each of the options the vectors, and how alike the first two are.
IN_PAGE = (
    """(async (texts, all) => {"""
    + LOADED
    + """
  const encoder = await openBundle("bundle", { ort, variant: "onnx/model.onnx" });
  const found = [];
  for (const options of all) {
    const vectors = await encoder.encode(texts, options);
    const alike = encoder.similarity(vectors[0], vectors[1]);
    found.push({ vectors: vectors.map((vector) => Array.from(vector)), alike });
  }
  await encoder.close();
  return found;
})(%s, %s)"""
)


@pytest.fixture(scope="module", params=NAMES)
def bundle(
    request: pytest.FixtureRequest, tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a bundle with goldens of one layout; do not write into it."""
    home = tmp_path_factory.mktemp("usage")
    _, layout = OTHER_BODIES.get(request.param) or ("bert", LAYOUTS[request.param])
    layout.make(home / "model", Base(tiny_random("bert")))
    folder = make_bundle(home / "bundle", home / "model")
    add_goldens(folder, TEXTS)
    return folder


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def in_javascript(options: dict[str, Any]) -> dict[str, Any]:
    names = {"prompt_name": "promptName", "truncate_dim": "truncateDim"}
    return {names.get(key, key): value for key, value in options.items()}


def test_node_gives_what_python_gives(node: str, bundle: Path) -> None:
    done = run(node, NODE / "check.mjs", bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    texts = [text for text in TEXTS if not text.startswith("-")]
    for options in OPTIONS:
        flags = [part for key, flag in FLAGS.items() if key in options for part in (flag, str(options[key]))]
        flags += ["--normalize"] if options.get("normalize") else []
        done = run(node, NODE / "embed.mjs", bundle, "--variant", "fp32", *flags, "--", *texts)
        assert done.returncode == 0, done.stderr
        vectors = [json.loads(line) for line in done.stdout.splitlines()]
        expected = Encoder(bundle, threads=1).encode(texts, **options)
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=TOLERANCE)


def test_the_browser_gives_what_python_gives(bundle: Path, tmp_path: Path) -> None:
    program = find_chromium()
    if program is None or shutil.which("npm") is None:
        pytest.skip("needs Chromium and npm")
    done = run("bash", WEB / "setup", bundle, tmp_path / "served")
    assert done.returncode == 0, done.stderr
    with Site(tmp_path / "served") as site, Chromium(program, tmp_path / "profile") as browser:
        browser.open(f"{site.address}?variant=fp32")
        browser.wait(DONE)
        asked = [in_javascript(options) for options in OPTIONS]
        found = browser.evaluate(IN_PAGE % (json.dumps(TEXTS), json.dumps(asked)))
    encoder = Encoder(bundle, threads=1)
    for options, given in zip(OPTIONS, found, strict=True):
        expected = encoder.encode(TEXTS, **options)
        np.testing.assert_allclose(given["vectors"], expected, rtol=0, atol=TOLERANCE)
        alike = encoder.similarity(expected[:1], expected[1:2])[0, 0]
        assert given["alike"] == pytest.approx(alike, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 4}, "schema 4, this release reads up to 3"),
        ({"dim": 1 << 17}, "dim must be a whole number of 1 to 65536"),
        ({"max_length": 1 << 21}, "max_length must be a whole number of 1 to 1048576"),
        ({"pad_token_id": -1}, "pad_token_id must be a whole number of 0 to 2147483647"),
        ({"prompts": ["query"]}, "prompts must be an object"),
        ({"default_prompt": "passage"}, "default_prompt passage is none of the prompts"),
        ({"similarity": "maxsim"}, "similarity must be one of cosine, dot, euclidean, manhattan"),
        ({"truncation_side": "middle"}, "truncation_side must be one of right, left"),
        ({"normalized": 1}, "normalized must be true or false"),
    ],
)
def test_a_manifest_that_cannot_be_is_one_line(
    change: dict[str, Any], complaint: str, node: str, bundle: Path, tmp_path: Path
) -> None:
    manifest = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))
    if manifest["similarity"] != "euclidean":
        pytest.skip("one bundle will do")
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    (folder / "mirrorkit.json").write_text(json.dumps({**manifest, **change}), encoding="utf-8")
    done = run(node, NODE / "embed.mjs", folder, "a text")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert complaint in line


@pytest.mark.parametrize("name", ["mirrorkit.json", "tokenizer.json", "onnx/model.onnx", "onnx"])
def test_node_opens_no_link_out_of_the_folder(name: str, node: str, bundle: Path, tmp_path: Path) -> None:
    if json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))["similarity"] != "euclidean":
        pytest.skip("one bundle will do")
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    shutil.move(folder / name, tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    done = run(node, NODE / "embed.mjs", folder, "a text")
    assert done.returncode == 2
    assert "is a link that leads out of the folder" in done.stderr
    if name != "onnx":  # in the hub's cache files are such links
        cached, blobs = (tmp_path / "models--a--b" / part for part in ("snapshots/1234", "blobs"))
        blobs.mkdir(parents=True)
        cached.parent.mkdir()
        shutil.move(folder, cached)
        shutil.move(tmp_path / "outside", blobs / "5678")
        (cached / name).unlink()
        (cached / name).symlink_to(blobs / "5678")
        done = run(node, NODE / "embed.mjs", cached, "--variant", "fp32", "a text")
        assert done.returncode == 0, done.stderr


def test_options_that_cannot_be_are_one_line(node: str, bundle: Path) -> None:
    for flags, complaint in (
        (["--prompt-name", "passage"], "prompt passage: the model has"),
        (["--truncate-dim", "0"], "truncateDim 0: must be a whole number above 0"),
        (["--truncate-dim", "x"], "truncateDim NaN: must be a whole number above 0"),
    ):
        done = run(node, NODE / "embed.mjs", bundle, *flags, "a text")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert complaint in line
