"""Fine-tune the shipped model on real documents: crops teach it to find them, and weights can be pulled back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from mirrorkit import SentenceEncoder, finetune
from mirrorkit.errors import CorpusError
from mirrorkit.training import blend as blending
from mirrorkit.training.blend import SHARES, HeldOut, blend, hold_out, weights_of
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.duplicates import same_documents
from mirrorkit.training.loop import train
from mirrorkit.training.pairs import PairMaker
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.view_choice import Views
from mirrorkit.training.view_ids import tokenise_views

PARAGRAPHS = [" ".join(part.split()) for text in topics.values() for part in re.split(r"\n\s*\n", text)]
DOCUMENTS = [text for text in dict.fromkeys(PARAGRAPHS) if len(text) >= 220][:400]
CROP = (100, 250)
SETTINGS: dict[str, Any] = {"device": "cpu", "autocast": "fp32"}
QUICK = Recipe(views=Views.CROP, batch_size=16, max_length=40, span_mask=0, learning_rate=3e-4, temperature=0.07)


def test_views_of_crops_are_tokenised_and_labelled_by_document() -> None:
    encoder = SentenceEncoder.load("tiny")
    corpus = load_corpus([*DOCUMENTS[:20], DOCUMENTS[0].upper()])
    rng = np.random.default_rng(1)
    pairs = PairMaker(corpus, QUICK).draw(np.arange(21), rng)
    views, labels = tokenise_views(encoder, pairs, QUICK, rng)
    assert len(views) == 42
    assert views.lengths.max() <= 40
    assert labels is not None
    assert labels.tolist() == [*range(20), 0] * 2
    assert all(not np.array_equal(views[i], views[i + 21]) for i in range(21))


def test_a_cap_on_the_steps_trains_on_an_even_sample() -> None:
    encoder = SentenceEncoder.load("tiny", dropout=0.0)
    corpus = load_corpus([text[:40] for text in DOCUMENTS])
    short = Recipe(steps=2, batch_size=8, max_length=16, dropout=0.0)
    assert train(encoder, corpus, short, **SETTINGS).pairs == 16
    longer = Recipe(steps=5, batch_size=200, max_length=8, dropout=0.0)
    stats = train(encoder, corpus, longer, **SETTINGS)
    assert stats.steps == 5
    assert 2 * len(corpus) + 200 == stats.pairs


def test_what_is_held_out_is_no_part_of_the_training() -> None:
    near = [text.replace(" the ", " that ", 1) for text in DOCUMENTS[:50]]
    corpus = load_corpus([*DOCUMENTS, *near])
    held, rest = hold_out(corpus, CROP, seed=1)
    assert held is not None
    assert 32 <= len(held.first) <= 45
    assert len(rest) == len(corpus) - len(held.first)
    for crops in (held.first, held.second):
        # Two help topics say one long sentence in the same words, in texts that are otherwise different.
        assert sum(crop in text for crop in crops for text in rest.texts) <= 1
    gone = [text for text in corpus.texts if text not in set(rest.texts)]
    groups = same_documents([*rest.texts, *gone])
    assert not set(groups[len(rest) :].tolist()) & set(groups[: len(rest)].tolist())
    for phrases in held.phrases:
        assert all(one in text for one, text in zip(phrases, held.texts, strict=True))
        assert {len(one.split()) for one in phrases} == {4}
    assert all(any(whole.startswith(text) for whole in gone) for text in held.texts)
    assert max(map(len, held.texts)) <= 500
    again, _ = hold_out(corpus, CROP, seed=1)
    assert again == held
    assert hold_out(load_corpus(DOCUMENTS[:100]), CROP, seed=1)[0] is None  # too few to tell anything


@pytest.fixture(scope="module")
def trained() -> tuple[SentenceEncoder, dict[str, torch.Tensor], HeldOut]:
    held, rest = hold_out(load_corpus(DOCUMENTS), CROP, seed=1)
    assert held is not None
    encoder = SentenceEncoder.load("tiny", dropout=0.1)
    start = weights_of(encoder)
    train(encoder, rest, Recipe(**{**vars(QUICK), "steps": 60, "batch_size": 32}), **SETTINGS)
    return encoder, start, held


def test_crops_teach_the_model_to_find_documents(
    trained: tuple[SentenceEncoder, dict[str, torch.Tensor], HeldOut],
) -> None:
    encoder, start, held = trained
    end = weights_of(encoder)
    report = blend(encoder, start, None, held, 40)
    assert tuple(report.scores) == SHARES
    assert report.scores[0.0] > report.scores[1.0] + 3
    assert report.scores[report.share] == max(report.scores.values())
    assert report.phrases[report.share] >= report.phrases[1.0]
    assert f"MRR of {report.documents} held-out documents" in report.why
    kept = weights_of(encoder)
    for name, tensor in kept.items():
        torch.testing.assert_close(tensor, torch.lerp(end[name], start[name], report.share))
    encoder.load_state_dict(end)


def test_where_training_hurt_the_base_is_kept(
    trained: tuple[SentenceEncoder, dict[str, torch.Tensor], HeldOut],
) -> None:
    encoder, _, held = trained
    good = weights_of(encoder)
    generator = torch.Generator().manual_seed(1)
    broken = {name: tensor + 0.3 * torch.randn(tensor.shape, generator=generator) for name, tensor in good.items()}
    encoder.load_state_dict(broken)
    report = blend(encoder, good, None, held, 40)
    assert report.share == 1
    assert "training did not help, so the base's own weights are kept" in report.why
    assert all(torch.equal(tensor, good[name]) for name, tensor in weights_of(encoder).items())


@pytest.mark.parametrize(
    ("crops", "phrases", "share", "told"),
    [
        ((9, 8, 7, 6, 5), (5, 9, 9, 9, 5), 0.0, "the best is kept (share"),
        ((9, 8, 7, 6, 5), (4, 4, 5, 9, 5), 0.5, "the best is kept with which four words find no less than before"),
        ((9, 8, 7, 6, 5), (4, 4, 4, 4, 5), 1.0, "after training four words of a text find it less well, so the base's"),
        ((9, 8, 7, 6, 5), (4, 4, 4, 9, 5), 1.0, "after training four words of a text find it less well, so the base's"),
        ((6, 7, 9, 7, 8), (9, 9, 4, 9, 5), 1.0, "after training four words of a text find it less well, so the base's"),
        ((5, 4, 5, 4, 5), (9, 9, 9, 9, 5), 1.0, "training did not help, so the base's own weights are kept"),
    ],
)
def test_no_share_is_kept_with_which_phrases_find_less(
    crops: tuple[float, ...], phrases: tuple[float, ...], share: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SentenceEncoder.load("tiny")
    name = next(iter(weights_of(encoder)))
    start = {key: torch.ones_like(tensor) for key, tensor in weights_of(encoder).items()}
    encoder.load_state_dict({key: torch.zeros_like(tensor) for key, tensor in start.items()})

    def place(encoder: SentenceEncoder) -> int:
        return SHARES.index(float(weights_of(encoder)[name].flatten()[0]))

    asked = []

    def documents_found(encoder: SentenceEncoder, held: HeldOut) -> float:
        asked.append(SHARES[place(encoder)])
        return phrases[place(encoder)]

    monkeypatch.setattr(blending, "_crops_found", lambda encoder, held, length: crops[place(encoder)])
    monkeypatch.setattr(blending, "_documents_found", documents_found)
    report = blend(encoder, start, None, HeldOut(["a"], ["b"], ["c"], [["d"]]), 40)
    assert SHARES[place(encoder)] == report.share == share
    assert report.scores == dict(zip(SHARES, crops, strict=True))
    assert report.phrases == {each: phrases[SHARES.index(each)] for each in asked}
    assert len(set(asked)) == len(asked)  # each costs as much as the crops
    assert report.why.startswith(told)
    assert ("found by four of their words" in report.why) == bool(asked)


def test_a_share_that_is_given_is_taken(trained: tuple[SentenceEncoder, dict[str, torch.Tensor], HeldOut]) -> None:
    encoder, start, _ = trained
    end = weights_of(encoder)
    assert blend(encoder, start, 0.5, None, 40).share == 0.5
    for name, tensor in weights_of(encoder).items():
        torch.testing.assert_close(tensor, (start[name] + end[name]) / 2)
    encoder.load_state_dict(end)
    assert blend(encoder, start, None, None, 40).share == 0.5  # with nothing to choose by
    encoder.load_state_dict(end)


def test_a_folder_becomes_an_encoder_and_the_card_says_how(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for i, text in enumerate(DOCUMENTS[:24]):
        (folder / f"{i}.md").write_text(text, encoding="utf-8")
    (folder / "logo.png").write_bytes(b"\x89PNG\0")
    result = finetune("tiny", folder, tmp_path / "out", steps=2, batch_size=8, seed=3, **SETTINGS)
    assert (result.recipe.views, result.recipe.span_mask, result.stats.steps) == (Views.CROP, 0, 2)
    assert result.views == "crop: 24 of 24 strings have room for two crops of 30 characters"
    again = finetune("tiny", folder, steps=2, batch_size=8, seed=3, **SETTINGS)
    assert all(torch.equal(a, b) for a, b in zip(*(r.encoder.parameters() for r in (result, again)), strict=True))
    assert SentenceEncoder.load(tmp_path / "out").max_length == SentenceEncoder.load("tiny").max_length
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["views"] == result.views
    assert record["blend"] is None
    assert record["hyper_parameters"]["max_length"] == result.recipe.max_length
    (corpus,) = record["corpora"]
    assert (corpus["unit"], corpus["skipped"]) == ("document", ["logo.png (neither .txt nor .md)"])
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"tokens (trained on strings cut to {result.recipe.max_length})" in card
    assert "crop: 24 of 24 strings" in card


def test_an_encoder_is_blended_with_itself_as_it_was(tmp_path: Path) -> None:
    finetune("tiny", DOCUMENTS[:16], tmp_path / "encoder", steps=1, batch_size=8, **SETTINGS)
    result = finetune(tmp_path / "encoder", DOCUMENTS, tmp_path / "out", steps=1, batch_size=8, **SETTINGS)
    assert (result.recipe.blend, result.recipe.learning_rate) == ("auto", 2e-5)
    report = result.runs[0].blend
    assert report is not None
    assert report.scores[report.share] >= report.scores[1.0]
    assert not report.phrases or report.phrases[report.share] >= report.phrases[1.0]
    assert json.loads((tmp_path / "out" / "training.json").read_text())["blend"] == report.why


def test_crops_longer_than_every_document_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="views crop: none of the 3 strings has room for two crops of 100 characters"):
        finetune("tiny", ["one", "two", "three"], tmp_path / "out", views="crop")
    assert not (tmp_path / "out").exists()
