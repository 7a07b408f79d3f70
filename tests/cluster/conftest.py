"""What the tests of shards share: a bundle that costs nothing, and a folder of texts."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
pytest.importorskip("pyarrow", reason="needs the parquet extra")

from mirrorkit.runtime.encoder import Encoder
from tests.bundles import make_foreign
from tests.cluster.texts import make_input


@pytest.fixture(scope="package")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_foreign(tmp_path_factory.mktemp("foreign"), tiny / "tokenizer.json")


@pytest.fixture(scope="package")
def encoder(bundle: Path) -> Encoder:
    return Encoder(bundle, threads=1)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return make_input(tmp_path / "texts")
