"""What of a tokenizer libmirrorkit does not read is said before it is at the customer's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from mirrorkit.verification.native_tokenizer import alike_tokens, not_read
from tests.cpp.families import FAMILIES
from tests.cpp.patterns import PUBLISHED, SYNTAX

# Of what the reader refuses, what a look at the expression shows.
SEEN = [
    r"(a)\1",
    r"(?>ab)c",
    r"[[:alpha:]]",
    r"\p{Greek}",
    r"\p{Cn}",
    r"\X",
    r"\1",
    r"(?<n>a)",
    r"\k<n>",
    r"(?s:a)",
    "\\",
]


def values(tokenizer: Tokenizer) -> dict[str, object]:
    found: dict[str, object] = json.loads(tokenizer.to_str())
    return found


def splitting(pattern: str) -> dict[str, object]:
    return {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}}


@pytest.mark.parametrize("name", FAMILIES)
def test_what_the_reader_is_tested_with_is_read(name: str) -> None:
    assert list(not_read(values(FAMILIES[name]()))) == []


@pytest.mark.parametrize("pattern", [*PUBLISHED.values(), *SYNTAX.values()])
def test_expressions_that_it_is_tested_with_are_read(pattern: str) -> None:
    assert list(not_read(splitting(pattern))) == []


@pytest.mark.parametrize("pattern", SEEN)
def test_expressions_that_it_refuses_are_named(pattern: str) -> None:
    assert list(not_read(splitting(pattern))) == [f"the regular expression {pattern}"]


def test_parts_that_it_does_not_know_are_named() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"(a)\1"), "b")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.UnicodeScripts()])
    assert list(not_read(values(tokenizer))) == [
        "the regular expression (a)\\1",
        "the pre-tokenizer UnicodeScripts",
        "the model WordLevel",
    ]
    assert list(not_read({"model": {"type": "BPE", "dropout": 0.1}, "normalizer": None})) == ["a BPE with dropout"]
    assert list(not_read({})) == []


def test_added_tokens_that_become_one_are_named(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens([AddedToken("Foo", normalized=True), AddedToken("bar"), AddedToken("fOO", normalized=True)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert sorted(alike_tokens(tmp_path / "tokenizer.json")) == ["Foo", "fOO"]
    assert alike_tokens(tmp_path / "nothing.json") == []
