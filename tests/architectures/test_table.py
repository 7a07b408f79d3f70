"""docs/architectures.md names every masked-LM class of transformers and tells what is so."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxscript", reason="needs the export extra")
pytest.importorskip("sentence_transformers")
import transformers

from tests.architectures.bodies import masked_lm_classes
from tests.architectures.page import PAGE, rows_of
from tests.architectures.trial import ALLOWED, Row, run_trial

RELEASE = transformers.__version__
TABLE = rows_of(RELEASE)
WRITE = f"run python -m tests.architectures.sweep, which writes {PAGE.name}"


def sample(rows: list[Row], count: int) -> list[Row]:
    """Return other rows with each commit, so that all have their turn and a failure can be had again."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PAGE.parent, capture_output=True, text=True, check=False
    ).stdout
    return random.Random(head).sample(rows, min(count, len(rows)))


def test_every_class_of_transformers_is_in_the_table() -> None:
    assert TABLE, f"nothing about transformers {RELEASE}: {WRITE}"
    assert list(TABLE) == list(masked_lm_classes()), WRITE


def test_what_the_table_says_is_the_same_vectors_or_a_reason() -> None:
    for row in TABLE.values():
        assert max(row.saved or 0, row.fp32 or 0) <= ALLOWED, row
        assert row.int8 is None or row.int8 > 0.95, row
        whole = None not in (row.saved, row.fp32, row.int8)
        assert bool(row.told) != whole, row
    assert sum(row.int8 is not None for row in TABLE.values()) >= 28


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # transformers' own code, of dozens of authors
def test_what_the_table_says_is_so(tmp_path: Path) -> None:
    exported = sample([row for row in TABLE.values() if row.int8 is not None], 2)
    others = []
    for row in [*exported, *sample([row for row in TABLE.values() if row.int8 is None], 1)]:
        (tmp_path / row.kind).mkdir()
        found = run_trial(row.kind, tmp_path / row.kind)
        if found.outcome != row.outcome or max(found.saved or 0, found.fp32 or 0) > ALLOWED:
            others.append((found, row))
    assert not others, WRITE
