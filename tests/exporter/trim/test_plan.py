"""What all kinds share: which ids stay, that every place that names one gets the new one, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from mirrorkit.errors import ConfigError
from mirrorkit.exporter.trim.plan import kept_ids, pieces_of, renumbered
from mirrorkit.exporter.trim.wordpiece import WordPieces

PIECES = ["[PAD]", "[UNK]", "a", "b", "##a", "##b", "ab", "##ab", "aab", "##", "[unused1]"]


def words(*pieces: str) -> WordPieces:
    vocab = {piece: i for i, piece in enumerate(pieces)}
    model = {"type": "WordPiece", "vocab": vocab, "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    return WordPieces(model, {"[PAD]"}, lambda piece, _: "[" not in piece)


def kept(pieces: list[str], counts: dict[str, int], min_count: int = 1, named: tuple[str, ...] = ()) -> list[str]:
    numbers = [counts.get(piece, 0) for piece in pieces]
    ids = {pieces.index(piece) for piece in named}
    return [pieces[i] for i in kept_ids(words(*pieces), numbers, min_count, ids)]


def test_reserved_single_used_and_named_pieces_stay() -> None:
    pieces = [*PIECES, "#", "###"]
    always = ["[PAD]", "[UNK]", "a", "b", "##a", "##b"]
    assert kept(pieces, {}) == [*always, "#", "###"]
    assert kept(pieces, {"##ab": 2, "aab": 1}) == [*always, "##ab", "aab", "#", "###"]
    assert kept(pieces, {"##ab": 2, "aab": 1}, min_count=2) == [*always, "##ab", "#", "###"]
    assert kept(pieces, {}, named=("[unused1]",)) == [*always, "[unused1]", "#", "###"]


@pytest.mark.parametrize(("odd", "lacking"), [("abc", "##c"), ("ca", "c"), ("##bc", "##c")])
def test_a_vocabulary_that_cannot_spell_its_own_pieces_is_refused(odd: str, lacking: str) -> None:
    with pytest.raises(ConfigError, match=f"the piece '{odd}' but not '{lacking}'"):
        kept([*PIECES[:9], odd], {odd: 5})


def renumber(processor: Any, **more: Any) -> dict[str, Any]:
    value = {
        "added_tokens": [{"id": 2, "content": "[CLS]"}, {"id": 5, "content": "<new>"}],
        "post_processor": processor,
        **more,
    }
    return renumbered(value, words("[PAD]", "x", "[CLS]", "y", "[SEP]"), {2: 0, 3: 1, 4: 2, 5: 3})


def test_every_place_that_names_an_id_gets_the_new_one() -> None:
    template = {
        "type": "TemplateProcessing",
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}},
    }
    ends = {"sep": ["[SEP]", 4], "cls": ["[CLS]", 2]}
    byte_level = {"type": "ByteLevel"}
    bert, roberta = {"type": "BertProcessing", **ends}, {"type": "RobertaProcessing", **ends, "trim_offsets": True}
    new = renumber(
        {"type": "Sequence", "processors": [byte_level, template, bert, roberta]}, normalizer={"type": "NFC"}
    )
    assert new["model"]["vocab"] == {"[CLS]": 0, "y": 1, "[SEP]": 2}
    assert list(new["model"]["vocab"]) == ["[CLS]", "y", "[SEP]"]
    assert new["added_tokens"] == [{"id": 0, "content": "[CLS]"}, {"id": 3, "content": "<new>"}]
    assert new["normalizer"] == {"type": "NFC"}
    same, changed, *others = new["post_processor"]["processors"]
    assert same == byte_level
    assert changed["special_tokens"]["[CLS]"] == {"id": "[CLS]", "ids": [0], "tokens": ["[CLS]"]}
    assert [(p["sep"], p["cls"]) for p in others] == [(["[SEP]", 2], ["[CLS]", 0])] * 2
    assert others[1]["trim_offsets"] is True
    assert renumber(None)["post_processor"] is None


def test_a_post_processor_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="Unheard"):
        renumber({"type": "Unheard"})


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]"), "of this odd is WordLevel; only WordPiece, Unigram and BPE"),
        (models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.1), "of this odd skips merges at random"),
    ],
)
def test_a_kind_that_cannot_be_trimmed_is_named(model: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        pieces_of(json.loads(Tokenizer(model).to_str()), [], "odd")
