"""A bundle made by hand, for whoever measures one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle; do not write into it."""
    from tests.lookups import lookup_bundle

    return lookup_bundle(tmp_path_factory.mktemp("made") / "bundle", tiny)


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "own"))
