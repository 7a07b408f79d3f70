"""A pipe in the place of a file would be waited for without end, and a link would be followed out of the folder."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit import Encoder, check
from mirrorkit.errors import MirrorkitError
from mirrorkit.formats.card import read_front
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.golden import read_goldens
from mirrorkit.formats.json_file import read_json
from mirrorkit.formats.onnx_paths import check_graph_paths
from mirrorkit.publish.targets import is_ours
from mirrorkit.training.corpus import load_corpus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes and alarms as on Linux")

READERS: list[Callable[[Path], object]] = [read_json, check_graph_paths, sha256_of, lambda file: read_goldens(file, 2)]


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    signal.alarm(20)  # ends the process, as nothing else would
    yield
    signal.alarm(0)


@pytest.mark.parametrize("read", READERS)
def test_a_pipe_is_not_opened(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises((MirrorkitError, OSError), match="is not a file"):
        read(tmp_path / "pipe.onnx")


def test_what_need_not_be_there_is_as_good_as_missing(tmp_path: Path) -> None:
    for name in ("README.md", "mirrorkit.json", "notes.txt"):
        os.mkfifo(tmp_path / name)
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(f"The text of {name}.\n", encoding="utf-8")
    assert read_front(tmp_path) == {}
    assert not is_ours(tmp_path)
    skipped = ["README.md (is not a file)", "mirrorkit.json (neither .txt nor .md)", "notes.txt (is not a file)"]
    assert list(load_corpus(tmp_path).skipped) == skipped


@pytest.mark.parametrize("entry", ["pipe", "link out"])
def test_every_file_of_a_folder_of_others(entry: str, tmp_path: Path, tiny: Path) -> None:
    pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
    from tests.bundles import make_foreign

    folder = make_foreign(tmp_path / "folder", tiny / "tokenizer.json")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    Encoder(folder)
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        aside = file.rename(tmp_path / "aside")
        os.mkfifo(file) if entry == "pipe" else file.symlink_to(aside)
        with pytest.raises(MirrorkitError, match=r"is not a file|leads out of the model's folder"):
            Encoder(folder)
        assert not check(folder).ok
        file.unlink()
        aside.rename(file)
    Encoder(folder)
