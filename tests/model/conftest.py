"""A model folder that every test may spoil."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def saved(tiny: Path, tmp_path: Path) -> Path:
    from mirrorkit.model.encoder import SentenceEncoder

    SentenceEncoder.load(tiny, pooling="mean", max_length=32).save(tmp_path / "saved")
    return tmp_path / "saved"
