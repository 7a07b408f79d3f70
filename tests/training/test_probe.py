"""What is held out for the verdict: who asks, who answers, and that neither they nor their copies are trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit.training import probe as probing
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.probe import FEWEST, MOST, OTHERS, SMALLEST, Probe, hold_out_probe
from mirrorkit.training.view_choice import Views

CROP = (100, 250)
PLACES = ("river", "harbour", "garden", "station", "kitchen", "market", "tower", "valley", "library", "museum")
THINGS = ("boat", "lamp", "tree", "train", "table", "apple", "clock", "horse", "letter", "painting")


def sentence(i: int) -> str:
    a, b, c, d = i % 10, i // 10 % 10, i // 100 % 10, i // 1000 % 10
    return (
        f"The {THINGS[a]} near the old {PLACES[b]} belongs to someone who once lived in a {PLACES[c]} with a "
        f"{THINGS[d]}."
    )


def corpus(texts: Sequence[str]) -> Corpus:
    return load_corpus(texts)


def held(given: Corpus, views: Views = Views.IDENTITY, seed: int = 1) -> tuple[Probe, Corpus]:
    probe, rest = hold_out_probe(given, views, CROP, seed)
    assert isinstance(probe, Probe), probe
    return probe, rest


@pytest.fixture(scope="module")
def sentences() -> Corpus:
    return corpus([f"{nonsense(i)} {sentence(i)}" for i in range(3000)])


def nonsense(i: int) -> str:
    rng = np.random.default_rng(i)
    return " ".join("".join(chr(97 + int(c)) for c in rng.integers(0, 26, 7)) for _ in range(8))


def test_a_twentieth_is_held_out_and_not_trained_on(sentences: Corpus) -> None:
    probe, rest = held(sentences)
    assert probe.held_out == 150 == len(sentences) - len(rest)
    assert (len(probe.questions), probe.among) == (150, OTHERS)
    trained = set(rest.texts)
    for question, answer in zip(probe.questions, probe.answers, strict=False):
        assert f"{question} {answer}" not in trained
        assert f"{question} {answer}" in set(sentences.texts)


def test_the_others_are_filled_up_from_the_corpus(sentences: Corpus) -> None:
    probe, rest = held(sentences)
    ends = {text[-30:] for text in rest.texts}
    assert all(answer[-30:] in ends for answer in probe.answers[len(probe.questions) :])


def test_seeds_decide_and_bits_repeat(sentences: Corpus) -> None:
    assert held(sentences)[0] == held(sentences)[0]
    assert held(sentences)[0] != held(sentences, seed=2)[0]


def test_near_duplicates_of_what_is_held_out_go_too(sentences: Corpus) -> None:
    doubled = corpus([*sentences.texts, *(text.upper() for text in sentences.texts)])
    probe, rest = held(doubled)
    assert probe.held_out == 2 * 300
    left = {text.lower() for text in rest.texts}
    assert not [1 for q, a in zip(probe.questions, probe.answers, strict=False) if f"{q} {a}".lower() in left]


def test_a_small_corpus_has_no_verdict(sentences: Corpus) -> None:
    small = corpus(sentences.texts[: SMALLEST - 1])
    assert hold_out_probe(small, Views.IDENTITY, CROP, 1) == (
        f"{SMALLEST - 1} strings are too few to hold {FEWEST} out; 1,000 are needed",
        small,
    )
    assert held(corpus(sentences.texts[:SMALLEST]))[0].held_out == FEWEST


def test_a_large_corpus_gives_no_more_than_two_thousand() -> None:
    letters = np.random.default_rng(0).integers(97, 123, (44_000, 12), dtype=np.uint8)
    many = Corpus([row.tobytes().decode() for row in letters], None, "n", "", 0, 0, 0, 0)
    probe, rest = hold_out_probe(many, Views.IDENTITY, CROP, 1)
    assert isinstance(probe, Probe)
    assert (len(probe.questions), probe.among) == (400, OTHERS)
    assert len(many) - len(rest) == MOST


def test_documents_ask_by_pieces_that_do_not_overlap(sentences: Corpus) -> None:
    texts = [f"{a} {b} {c}" for a, b, c in zip(*[iter(sentences.texts)] * 3, strict=True)]
    probe, _ = held(corpus(texts), Views.CROP)
    assert probe.task == "two pieces"
    for question, answer in zip(probe.questions, probe.answers, strict=False):
        (whole,) = [text for text in texts if question in text and answer in text]
        assert abs(whole.index(question) - whole.index(answer)) >= min(len(question), len(answer))
        assert 80 <= len(question) <= 120


def test_pieces_are_long_enough_to_be_found_however_short_the_crops_are(sentences: Corpus) -> None:
    documents = corpus([" ".join(sentences.texts[2 * i : 2 * i + 2]) for i in range(1200)])
    probe, _ = hold_out_probe(documents, Views.CROP, (30, 250), 1)
    assert isinstance(probe, Probe), probe
    assert min(map(len, [*probe.questions, *probe.answers])) >= 100
    assert probe == held(documents, Views.CROP)[0]  # as for crops from 100 characters on


def test_words_ask_by_a_copy_with_a_slip() -> None:
    words = [nonsense(i).split()[0] for i in range(1200)]
    probe, _ = held(corpus(words))
    assert probe.task == "copies with a slip"
    changed = [q != a for q, a in zip(probe.questions, probe.answers, strict=False)]
    assert sum(changed) > 0.9 * len(changed)  # a letter may be exchanged for itself
    assert all(abs(len(q) - len(a)) <= 1 for q, a in zip(probe.questions, probe.answers, strict=False))


def test_known_pairs_ask_for_their_partner() -> None:
    rows = [(nonsense(i), f"{nonsense(i + 5000)} other") for i in range(1500)]
    probe, rest = held(load_corpus(rows, pairs=True))
    assert probe.task == "known pairs"
    assert {(q, a) for q, a in zip(probe.questions, probe.answers, strict=False)} <= set(rows)
    assert rest.partners is not None
    assert len(rest.partners) == len(rest) == 1400


def test_scripts_without_blanks_are_cut_between_characters() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(chr(0x4E00 + int(c)) for c in rng.integers(0, 5000, 30)) for _ in range(1100)]
    probe, _ = held(corpus(texts))
    assert probe.task == "two halves"
    assert all(q + a in texts for q, a in zip(probe.questions, probe.answers, strict=False))


def test_neighbours_stay_neighbours(sentences: Corpus) -> None:
    _, rest = held(sentences, Views.ADJACENT)
    assert rest.texts == sentences.texts[: len(rest)]


def test_texts_without_letters_cannot_be_asked() -> None:
    signs = corpus([f"{'-' * (i % 50)} {'+' * (i // 50)}." for i in range(1200)])
    why, rest = hold_out_probe(signs, Views.IDENTITY, CROP, 1)
    assert isinstance(why, str)
    assert "strings have two halves" in why
    assert rest is signs


def test_of_a_very_large_corpus_a_part_is_looked_at(sentences: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "LARGE", 1500)
    doubled = corpus([*sentences.texts, *(text.upper() for text in sentences.texts)])
    probe, rest = held(doubled)
    assert probe.held_out == 2 * 300
    left = {text.lower() for text in rest.texts}
    assert not [1 for q, a in zip(probe.questions, probe.answers, strict=False) if f"{q} {a}".lower() in left]
    assert held(sentences, Views.ADJACENT)[1].texts == sentences.texts[:2850]
