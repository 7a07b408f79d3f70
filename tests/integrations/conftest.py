"""Bundles for the adapters: one whose prompts tell queries from documents, one without prompts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.ragged import Floats
from tests.lookups import describe, lookup_bundle

TEXTS = ["The museum opens at nine.", "A cup of tea, please.", "Rain is expected for most of the week."]
PROMPTS = {"query": "museum: ", "passage": "rain: "}


@pytest.fixture(scope="session")
def plain_bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lookup_bundle(tmp_path_factory.mktemp("plain") / "plain-bundle", tiny)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(tiny / name, folder / name)
    describe(folder)
    return folder


@pytest.fixture(scope="session")
def bundle(plain_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that has a prompt for queries and another for passages; do not write into it."""
    folder = tmp_path_factory.mktemp("prompted") / "my-bundle"
    shutil.copytree(plain_bundle, folder)
    manifest = json.loads((folder / "mirrorkit.json").read_text(encoding="utf-8"))
    manifest["prompts"] = PROMPTS
    (folder / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def documents(plain_bundle: Path) -> Floats:
    return Encoder(plain_bundle).encode([PROMPTS["passage"] + text for text in TEXTS])


@pytest.fixture(scope="session")
def queries(plain_bundle: Path) -> Floats:
    return Encoder(plain_bundle).encode([PROMPTS["query"] + text for text in TEXTS])
