"""The C++ tokenizer gives the ids that `tokenizers` gives when a vocabulary was trimmed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cpp.building import token_ids
from tests.cpp.families import FAMILIES, texts
from tests.cpp.strings import AWKWARD, fuzz
from tests.exporter.trim.cutting import cut

pytestmark = pytest.mark.cpp


@pytest.mark.parametrize("family", FAMILIES)
def test_fuzzed_strings_of_every_family_trimmed(family: str, built: Path, tmp_path: Path) -> None:
    corpus = texts()[:40]
    made = cut(FAMILIES[family](), corpus)
    assert len(made.kept) < made.old.get_vocab_size()
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(made.value), encoding="utf-8")
    strings = [*corpus, *AWKWARD, *fuzz(5000, seed=24)]
    right = [encoding.ids for encoding in made.new.encode_batch_fast(strings)]
    assert token_ids(built, file, strings, max_length=100_000) == right
