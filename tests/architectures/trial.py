"""Take one architecture through the whole job and tell what came of it.

Build it small, fine-tune a step, save, reload in sentence-transformers, export in fp32 and int8, encode.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import MirrorkitError, first_line
from tests.architectures.bodies import build
from tests.conftest import REAL_TEXTS
from tests.formats.making import TEXTS

ALLOWED = 1e-5  # of any component of a vector of unit length


@dataclass(frozen=True)
class Row:
    """What came of one architecture; a figure is None where the job did not get so far."""

    kind: str
    saved: float | None = None  # largest difference of sentence-transformers on the saved folder from ours
    fp32: float | None = None  # the same of the bundle in the light runtime
    int8: float | None = None  # lowest cosine over the texts, of the int8 graph with ours
    told: str = ""  # why it ends where it ends

    @property
    def outcome(self) -> str:
        """Return what is the same on every machine: how far it got, and the reason without its numbers."""
        reached = [name for name in ("saved", "fp32", "int8") if getattr(self, name) is not None]
        return " ".join([*reached, re.sub(r"\d[\d.e-]*", "#", self.told)])


def run_trial(kind: str, work: Path) -> Row:
    """Build a model of that type in `work`, an empty folder, and do with it what a user would do."""
    from mirrorkit import SentenceEncoder, export, finetune

    row = Row(kind)
    try:
        finetune(
            build(kind, work / "base"), REAL_TEXTS[3:], work / "tuned", epochs=1, batch_size=10, max_length=24,
            learning_rate=1e-4, dropout=0.1, drophead=0, span_mask=0, device="cpu", autocast="fp32",
        )  # fmt: skip
        ours = SentenceEncoder.load(work / "tuned").encode(TEXTS)
        row = _outside(row, work / "tuned", ours)
        result = export(work / "tuned", work / "bundle", precision=["fp32", "int8"], optimize=False)
    except MirrorkitError as err:
        return replace(row, told=_without_path(str(err), work))
    except ImportError as err:  # transformers names some classes that need packages of their own
        return replace(row, told=f"transformers cannot build it ({str(err).strip().splitlines()[0]})")
    row = replace(row, fp32=_apart(_light(work, "fp32"), ours))
    if not result.variants["int8"].published:
        return replace(row, told=_without_path(result.problems[0].line(), work))
    return replace(row, int8=float(np.sum(_light(work, "int8") * ours, axis=1).min()))


def _light(work: Path, variant: str) -> Any:
    from mirrorkit import Encoder

    return Encoder(work / "bundle", variant, threads=1).encode(TEXTS)


def _outside(row: Row, folder: Path, ours: Any) -> Row:
    """Add how far off sentence-transformers is, or why it has no vectors."""
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(str(folder), device="cpu")
    except Exception as err:  # whatever a class of transformers raises
        what = _without_path(first_line(err), folder.parent).partition(".")[0]
        return replace(row, told=f"sentence-transformers cannot load it ({what})")
    return replace(row, saved=_apart(np.asarray(model.encode(list(TEXTS), show_progress_bar=False)), ours))


def _apart(one: Any, other: Any) -> float:
    return float(np.abs(one - other).max())


def _without_path(message: str, work: Path) -> str:
    """Return a message without the path of the folder, which tells a reader nothing."""
    bare = re.sub(rf"{re.escape(str(work))}/\w+(: |/)", "", message)
    return re.sub(rf"'?{re.escape(str(work))}/\w+'?", "the folder", bare)
