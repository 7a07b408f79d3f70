"""The C++ tokenizer's committed Unicode tables are those of the installed `tokenizers`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cpp.building import SOURCE, succeed

pytestmark = pytest.mark.cpp


def test_the_tables_are_what_tokenizers_does(tmp_path: Path) -> None:
    fresh = tmp_path / "unicode_tables.hpp"
    succeed([sys.executable, SOURCE / "tools" / "unicode_tables.py", fresh])
    assert fresh.read_bytes() == (SOURCE / "src" / "unicode_tables.hpp").read_bytes()
