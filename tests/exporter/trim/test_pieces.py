"""The parts of trimming: which pieces stay, and that every place that names an id gets the new one."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit.errors import ConfigError
from mirrorkit.exporter.trim.pieces import WordPieces, kept_ids, renumbered

PIECES = ["[PAD]", "[UNK]", "a", "b", "##a", "##b", "ab", "##ab", "aab", "##", "[unused1]"]


def words(*pieces: str) -> WordPieces:
    return WordPieces({piece: i for i, piece in enumerate(pieces)}, "##", "[UNK]", {"[PAD]", "[UNK]"})


def kept(pieces: list[str], counts: dict[str, int], min_count: int = 1, needed: tuple[str, ...] = ()) -> list[str]:
    numbers = [counts.get(piece, 0) for piece in pieces]
    ids = {pieces.index(piece) for piece in needed}
    return [pieces[i] for i in kept_ids(words(*pieces), numbers, min_count, ids, lambda piece: "[" not in piece)]


def test_reserved_single_used_and_needed_pieces_stay() -> None:
    pieces = [*PIECES, "#", "###"]
    always = ["[PAD]", "[UNK]", "a", "b", "##a", "##b"]
    assert kept(pieces, {}) == [*always, "#", "###"]
    assert kept(pieces, {"##ab": 2, "aab": 1}) == [*always, "##ab", "aab", "#", "###"]
    assert kept(pieces, {"##ab": 2, "aab": 1}, min_count=2) == [*always, "##ab", "#", "###"]
    assert kept(pieces, {}, needed=("[unused1]",)) == [*always, "[unused1]", "#", "###"]


@pytest.mark.parametrize(("odd", "lacking"), [("abc", "##c"), ("ca", "c"), ("##bc", "##c")])
def test_a_vocabulary_that_cannot_spell_its_own_pieces_is_refused(odd: str, lacking: str) -> None:
    with pytest.raises(ConfigError, match=f"the piece '{odd}' but not '{lacking}'"):
        kept([*PIECES[:9], odd], {odd: 5})


def renumber(processor: Any, **more: Any) -> dict[str, Any]:
    value = {
        "added_tokens": [{"id": 2, "content": "[CLS]"}, {"id": 5, "content": "<new>"}],
        "model": {"type": "WordPiece", "vocab": {"[PAD]": 0, "x": 1, "[CLS]": 2, "y": 3, "[SEP]": 4}},
        "post_processor": processor,
        **more,
    }
    return renumbered(value, {2: 0, 3: 1, 4: 2, 5: 3})


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
    assert new["model"] == {"type": "WordPiece", "vocab": {"[CLS]": 0, "y": 1, "[SEP]": 2}}
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
