"""Unigram: a best cut whose pieces are kept stays the best, and no text gets lost; `tokenizers` is the judge."""

from __future__ import annotations

import json
import random

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from mirrorkit.errors import ConfigError
from tests.exporter.trim.cutting import cut

BYTES = [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]


def drawn(draw: random.Random) -> Tokenizer:
    """Return a tokenizer of random pieces, whose scores are few, so that many cuts are equally good."""
    pieces = {"".join(draw.choices("abc", k=draw.randint(2, 5))) for _ in range(30)}
    vocab = [("<unk>", 0.0), *((one, float(-draw.randint(1, 6))) for one in (*"abc", *sorted(pieces)))]
    draw.shuffle(vocab)
    return Tokenizer(models.Unigram(vocab, unk_id=vocab.index(("<unk>", 0.0))))


def texts(draw: random.Random, count: int) -> list[str]:
    return ["".join(draw.choices("abcd\u4e16", (9, 9, 9, 1, 1), k=draw.randint(1, 12))) for _ in range(count)]


def test_random_vocabularies_with_equally_good_cuts() -> None:
    draw, same, count = random.Random(5), 0, 0
    for _ in range(150):
        corpus, others = texts(draw, 6), texts(draw, 40)
        made = cut(drawn(draw), corpus)
        assert made.assert_spelled_alike(corpus) == len(corpus)
        same, count = same + made.assert_spelled_alike(others), count + len(others)
        scores = dict(made.value["model"]["vocab"])
        assert [made.value["model"]["vocab"][made.value["model"]["unk_id"]][0]] == ["<unk>"]
        assert min(scores.values()) == min(score for _, score in all_pieces(made.old))
    assert 0.2 * count < same < 0.9 * count  # so that there is something to see


def all_pieces(tokenizer: Tokenizer) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = json.loads(tokenizer.to_str())["model"]["vocab"]
    return found


def test_what_stays_and_in_which_order() -> None:
    vocab = [("<s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("ab", -3.0), ("b", -4.0), ("▁ab", -1.0), ("a", -4.0)]
    tokenizer = Tokenizer(models.Unigram([*vocab, ("aab", -50.0), ("abb", -6.0)], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", AddedToken("<mask>", lstrip=True)])
    made = cut(tokenizer, ["ab ab"])
    kept = ["<s>", "<unk>", "▁", "b", "▁ab", "a", "aab"]  # the last for its score, which unknown characters hang on
    assert made.value["model"]["vocab"] == [[piece, dict([*vocab, ("aab", -50.0)])[piece]] for piece in kept]
    assert made.value["model"]["unk_id"] == 1
    assert [(token["content"], token["id"]) for token in made.value["added_tokens"]] == [("<s>", 0), ("<mask>", 7)]
    assert made.new.token_to_id("<mask>") == 7
    assert made.new.encode("ab ab  <mask>").ids == [4, 4, 7]


def test_bytes_stay_and_the_cost_of_an_unknown_character() -> None:
    """With bytes to fall back to, a piece may hold a character that has none: then it competes with the unknown."""
    vocab = [("<unk>", 0.0), *BYTES, ("qc", -20.0), ("c", -15.0), ("d", -20.0), ("cd", -1.0), ("ddd", -100.0)]
    made = cut(Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True)), ["qcd", "cd"])
    assert made.old.encode("qcd").tokens == made.new.encode("qcd").tokens == ["qc", "d"]
    assert made.new.encode("q\u4e16").tokens == ["<0x71>", "<0xE4>", "<0xB8>", "<0x96>"]
    assert len(made.kept) == len(vocab)
    without = cut(Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True)), ["cd"])
    assert set(made.kept) - set(without.kept) == {257}  # qc
    assert without.new.encode("qcd").tokens == ["<0x71>", "cd"]


def test_what_the_normalizer_makes_of_a_text_is_spelled() -> None:
    vocab = [("<unk>", 0.0), ("▁", -2.0), ("k", -5.0), ("m", -5.0), ("▁km", -3.0), ("e", -5.0), ("\u0301", -6.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0))
    tokenizer.normalizer = normalizers.NFKD()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    made = cut(tokenizer, ["e"])
    assert made.old.encode("㎞").tokens == ["▁km"]
    assert made.new.encode("㎞é").tokens == ["▁", "k", "m", "e", "\u0301"]


@pytest.mark.parametrize("normalizer", [None, normalizers.Lowercase()])
def test_a_character_that_only_a_longer_piece_has(normalizer: normalizers.Normalizer | None) -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -2.0), ("aX", -3.0)], unk_id=0))
    if normalizer is None:
        with pytest.raises(ConfigError, match="the piece 'aX' but not 'X'"):
            cut(tokenizer, ["a"])
    else:  # no text has it
        tokenizer.normalizer = normalizer
        assert cut(tokenizer, ["a"]).kept == [0, 1, 2]  # the lowest score
