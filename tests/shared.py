"""What takes a minute to make and several files of tests read: made once in a run, by whichever of them asks first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.standin import slice_of

MADE = ".made"  # in a folder that is whole


def made_once(name: str, make: Callable[[Path], object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `make` has filled, in this process or in another worker of the run; do not write into it.

    Of several workers that ask at once one makes it and the others wait. What a failed `make` left is not taken.
    """
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent  # that of all workers
    folder = home / "made" / name
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, and no longer than its process lives
        if not (folder / MADE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / MADE).touch()
    return folder


def shallow(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two layers of the shipped model, with all its dimensions, for who needs their number."""

    def make(folder: Path) -> None:
        slice_of(shipped, folder / shipped.name, whole_width=True)

    return made_once("shallow", make, tmp_path_factory) / shipped.name


def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory, name: str = "tuned") -> Path:
    """Return a folder of `model`, a short fine-tune of a base, and `bundle`, its export in fp32 and int8.

    Each base has a `name` of its own.
    """
    import mirrorkit
    from mirrorkit.assets.paths import GRADED

    rows = GRADED.read_text(encoding="utf-8").splitlines()[:40]
    corpus = "".join(f"{sentence}\n" for row in rows for sentence in row.split("\t")[1:])

    def make(folder: Path) -> None:
        (folder / "corpus.txt").write_text(corpus, encoding="utf-8")
        mirrorkit.finetune(base, folder / "corpus.txt", folder / "model", steps=1, batch_size=16)
        assert mirrorkit.export(folder / "model", folder / "bundle", precision=["fp32", "int8"]).ok

    return made_once(name, make, tmp_path_factory)
