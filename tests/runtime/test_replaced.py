"""An open encoder whose files are replaced, written into or removed gives the same vectors, or one error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="needs the export extra, to make graphs")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit import BundleError, Encoder
from mirrorkit.publish import publish_folder
from tests.bundles import make_foreign

GRAPH, DATA = "onnx/model.onnx", "onnx/model.onnx_data"
TEXT = "some words"


@pytest.fixture
def folder(tmp_path: Path, tiny: Path) -> Path:
    """Return a folder whose weights lie in a file of their own, which ONNX Runtime maps into its memory."""
    made = make_foreign(tmp_path / "folder", tiny / "tokenizer.json")
    model = onnx.load(made / GRAPH)
    (made / GRAPH).unlink()
    onnx.save(model, made / GRAPH, save_as_external_data=True, location=Path(DATA).name, size_threshold=1024)
    return made


def _publish(folder: Path) -> None:
    with publish_folder(folder, overwrite=True) as draft:
        (draft / "onnx").mkdir()
        (draft / GRAPH).write_bytes(b"another graph")
        (draft / DATA).write_bytes(b"other weights")


def _write_into(folder: Path) -> None:
    with (folder / DATA).open("r+b") as file:
        file.seek(100)
        file.write(b"\x7f" * 50_000)


GONE: dict[str, Callable[[Path], object]] = {
    "published anew": _publish,
    "moved away": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "removed": shutil.rmtree,
}
SPOILT: dict[str, Callable[[Path], object]] = {
    "written into": _write_into,
    "emptied": lambda folder: (folder / DATA).write_bytes(b""),
}


@pytest.mark.parametrize("how", GONE)
def test_what_is_replaced_stays_open(folder: Path, how: str) -> None:
    encoder = Encoder(folder, threads=1)
    before = encoder.encode([TEXT])
    GONE[how](folder)
    assert (encoder.encode([TEXT]) == before).all()


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_written_into_is_one_error(folder: Path, how: str) -> None:
    encoder = Encoder(folder, threads=1)
    before = encoder.encode([TEXT])
    os.utime(folder / DATA)  # nothing but the time, and yet nobody could tell
    with pytest.raises(BundleError, match=r"model.onnx_data: has been written into since it was opened"):
        encoder.encode([TEXT])
    encoder = Encoder(folder, threads=1)
    assert (encoder.encode([TEXT]) == before).all()
    SPOILT[how](folder)
    with pytest.raises(BundleError, match=r"model.onnx_data: has been written into since it was opened"):
        encoder.encode([TEXT])
