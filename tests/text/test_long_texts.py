"""A very long text gives the ids that it always gave, sooner."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

tokenizers = pytest.importorskip("tokenizers")
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mirrorkit.text.long_texts import BEFORE_MARKS, BEFORE_SPACES, SHORTEST, beginning, endless_words, places_of
from mirrorkit.text.tokenizer import Tokenizer

SAMPLE = (
    "the of étude naïve ΣΊΣΥΦΟΣ Straße 漢字かな ไทย e\u0301 x\u0327y ﬁne 1,234.5 don't we'll a_b c-d <mask> [MASK] "
    "</s> 😀👩\u200d👩\u200d👧 \u200bzero \u0301lone İstanbul ǅ \u2028 tab\t line\n two  spaces "
    "☃ \x00 \u00a0nbsp ﷺ word0001 "
)
WORDS = SAMPLE.split(" ")


def texts() -> Iterator[str]:
    rng = random.Random(0)
    for separator in (" ", "  ", "\n", " \u0301", " \u00a0", ",", "。", "!\u0301", ";\u0338", "，", "\t", "?"):
        yield separator.join(rng.choice(WORDS) for _ in range(8_000))
    yield "漢字。かな、" * 4_000
    yield "ΣΊΣΥΦΟΣ,ab;" * 2_000
    yield "x" * 20_000 + " and more" * 500
    yield "漢" * 20_000
    yield " " * 20_000 + "end"
    yield "a " * 20_000
    yield "?!. " * 8_000
    yield ("word " * 10 + "\ud800 ") * 3_000
    for separator in ("(", ".", "’", "_", "]"):
        yield separator.join(rng.choice(WORDS) for _ in range(4_000)) + separator * SHORTEST
    for word in ("é", "e\u0301", "สวัสดีครับ", "漢字", "ﷺ", "\u3099"):
        yield f"{word * 150}-[MASK]{word * 150}we {word * 150}word0001 {word * 30}_{word * SHORTEST} more"


def trained(kind: str) -> Any:
    corpus = [" ".join(WORDS), "the quick brown fox jumps over the lazy dog and we'll see 12 345"] * 20
    if kind == "WordPiece":
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    elif kind == "BPE":
        made = tokenizers.Tokenizer(models.BPE())
        made.normalizer = normalizers.NFC()
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["[CLS]", "[SEP]", "</s>"])
    else:
        made = tokenizers.Tokenizer(models.Unigram())
        parts = [normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
        made.normalizer = normalizers.Sequence(parts)
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=300, unk_token="<unk>", special_tokens=["<unk>", "[CLS]", "[SEP]", "</s>"]
        )
    made.train_from_iterator(corpus, trainer)
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True)])
    made.add_tokens([AddedToken("word0001", single_word=True), AddedToken("we", normalized=True)])
    ends = [(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return made


@pytest.mark.parametrize("length", [2, 16, 256])
@pytest.mark.parametrize("kind", ["WordPiece", "BPE", "Unigram"])
def test_the_ids_are_those_of_the_whole_text(tmp_path: Path, kind: str, length: int) -> None:
    backend = trained(kind)
    assert (places_of(backend) is BEFORE_SPACES) == (kind != "WordPiece")
    backend.save(str(tmp_path / "tokenizer.json"))
    made = Tokenizer(tmp_path / "tokenizer.json", length)
    backend.enable_truncation(length)
    for text in texts():
        assert len(text) > SHORTEST
        whole = backend.encode(text.replace("\ud800", "\ufffd"))  # half a pair counts as that
        assert made.ids_of(text) == whole.ids
        assert made.ids([text, "short"])[0].tolist() == whole.ids


def test_of_a_text_of_ten_megabytes_only_the_beginning_is_tokenised(tiny: Path) -> None:
    made = Tokenizer(tiny / "tokenizer.json", 256)
    text = "word and other things, " * 450_000
    assert len(made.ids_of(text)) == 256
    assert len(made._shortened(text)) < 5000


def test_of_megabytes_without_a_blank_too(tiny: Path) -> None:
    made = Tokenizer(tiny / "tokenizer.json", 256)
    for text in ("ab,", "漢字。", "漢", "A. B. C. ", "e.g. Dr. ", "ab+c/d", ".", "(", "“"):
        many = text * (2_000_000 // len(text))
        assert len(made.ids_of(many)) == 256
        assert len(made._shortened(many)) < 5000


@pytest.mark.parametrize("part", ["a", "é", "e\u0301", "สวัสดี", "word0"])
def test_of_a_word_without_an_end_no_more_is_tokenised_than_tells_that_it_has_none(tiny: Path, part: str) -> None:
    made = Tokenizer(tiny / "tokenizer.json", 256)
    text = part * (1_000_000 // len(part))
    assert made.ids_of(text) == made.ids_of("a" * 200)
    assert made.ids_of(f"one {text} two") == [
        *made.ids_of("one")[:-1],
        *made.ids_of("a" * 200)[1:-1],
        *made.ids_of("two")[1:],
    ]
    assert len(made._shortened(text)) < 1000


def test_a_word_is_left_whole_where_its_rest_may_matter(tiny: Path) -> None:
    assert endless_words(trained("BPE")) is None
    assert endless_words(trained("Unigram")) is None
    assert endless_words(trained("WordPiece")) is None  # "we" is an added token, and would be found in it
    backend = tokenizers.Tokenizer.from_file(str(tiny / "tokenizer.json"))
    assert endless_words(backend) is not None
    backend.normalizer = normalizers.NFKC()  # makes blanks of letters
    assert endless_words(backend) is None
    backend = tokenizers.Tokenizer.from_file(str(tiny / "tokenizer.json"))
    backend.model.max_input_chars_per_word = 1_000
    assert endless_words(backend) is None


def test_what_could_look_further_is_left_whole() -> None:
    for change in (
        lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Metaspace(split=False)),
        lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.ByteLevel(use_regex=False)),
        lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Split(tokenizers.Regex(r"\w+ \w+"), "isolated")),
        lambda t: setattr(t, "normalizer", normalizers.Replace(tokenizers.Regex("a b"), "c")),
        lambda t: setattr(t, "normalizer", normalizers.Replace("a b", "c")),
        lambda t: t.add_tokens(["new york"]),
    ):
        backend = trained("WordPiece")
        change(backend)
        assert places_of(backend) is None
    backend = trained("WordPiece")
    backend.add_tokens(["a,b"])
    places = places_of(backend)
    assert places is not None
    assert beginning("one,two;three", 1, places) == "one,two"
    backend.normalizer = normalizers.NFKC()
    assert places_of(backend) is BEFORE_SPACES
    backend = trained("WordPiece")
    backend.normalizer = normalizers.NFKC()
    assert places_of(backend) is BEFORE_MARKS


def test_where_a_text_may_end() -> None:
    assert beginning("one two three", 1, BEFORE_SPACES) == "one"
    assert beginning("one two three", 4, BEFORE_SPACES) == "one two"
    assert beginning("one, two three", 1, BEFORE_SPACES) == "one, two"
    assert beginning("one two three", 8, BEFORE_SPACES) is None
    assert beginning("漢字", 1, BEFORE_SPACES) is None
    assert beginning("one, two three", 1, BEFORE_MARKS) == "one"
    assert beginning("漢字。漢字", 1, BEFORE_MARKS) == "漢字"
    assert beginning("漢字漢字", 1, BEFORE_MARKS) is None
