"""Known pairs with a negative each: read as published, and the loss of sentence-transformers on triplets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor

from mirrorkit import SentenceEncoder, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.loop import _draw
from mirrorkit.training.loss import ranking
from mirrorkit.training.objective import Objective
from mirrorkit.training.pairs import PairMaker
from mirrorkit.training.passes import gradients, plan_passes
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipe import Recipe

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:60]
TRIPLES = list(zip(SENTENCES[:20], SENTENCES[20:40], SENTENCES[40:], strict=True))
SETTINGS: dict[str, Any] = {"pairs": True, "batch_size": 8, "steps": 3, "device": "cpu", "autocast": "fp32"}


def published(folder: Path) -> Path:
    """Write the NLI file of SimCSE, small."""
    file = folder / "nli_for_simcse.csv"
    rows = [",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in TRIPLES]
    file.write_text("sent0,sent1,hard_neg\n" + "\n".join([*rows, "a,b,"]) + "\n", encoding="utf-8")
    return file


def test_the_file_of_simcse_is_read_with_its_negatives(tmp_path: Path) -> None:
    corpus = load_corpus(published(tmp_path), pairs=True, text_column="sent0,sent1,hard_neg")
    assert list(zip(corpus.texts, corpus.partners or (), corpus.negatives or (), strict=True)) == TRIPLES
    assert corpus.blank == 1  # the row without a negative
    assert corpus.take(np.array([3, 1])).negatives == [TRIPLES[3][2], TRIPLES[1][2]]
    assert load_corpus(TRIPLES, pairs=True).negatives == corpus.negatives
    assert load_corpus(published(tmp_path), pairs=True, text_column="sent0,sent1").negatives is None
    for columns in ("sent0", "sent0,sent1,hard_neg,sent0"):
        with pytest.raises(ConfigError, match="must name 2 columns, or 3 where each pair has a negative"):
            load_corpus(published(tmp_path), pairs=True, text_column=columns)
    with pytest.raises(ConfigError, match=r"corpus\[1\] is a tuple of 2; .* a tuple of three strings"):
        load_corpus([TRIPLES[0], TRIPLES[1][:2]], pairs=True)


def theirs(encoder: SentenceEncoder, temperature: float) -> Callable[[list[Tensor]], Tensor]:
    """Return the multiple negatives ranking loss of sentence-transformers, of vectors."""
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    loss = MultipleNegativesRankingLoss(model=encoder, scale=1 / temperature)
    return lambda columns: loss.compute_loss_from_embeddings(columns, None)  # type: ignore[no-any-return]


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_loss_and_gradient_are_those_of_sentence_transformers(
    tiny_random: Callable[[str], Path], temperature: float
) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.0)
    columns = []
    for texts in zip(*TRIPLES, strict=True):
        arrays = encoder.batch(encoder.tokenize(texts), np.arange(len(texts)))
        columns.append(encoder(*(torch.from_numpy(array) for array in arrays)).sentence_embedding)
    loss = theirs(encoder, temperature)(columns)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()

    recipe = Recipe(span_mask=0, max_length=64, temperature=temperature)
    corpus, rng = load_corpus(TRIPLES, pairs=True), np.random.default_rng(0)
    draw = _draw(encoder, PairMaker(corpus, recipe), recipe, np.arange(len(corpus)), 1, rng)
    (rows,) = draw.batches
    own = draw.both(rows)
    objective = Objective(encoder, recipe, Ranks())
    loss_of = objective.of(draw.batch(rows, encoder.device))
    found = gradients(encoder, draw.views, own, plan_passes(encoder, draw.views.lengths[own], 64), loss_of)
    assert float(found) == pytest.approx(float(loss.detach()), abs=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        own_gradient = encoder.get_parameter(name).grad
        torch.testing.assert_close(own_gradient, gradient, atol=1e-5 * max(1.0, largest), rtol=1e-4)
    assert objective.vectors.shape == (40, 32)  # of both views, for the log


def test_a_text_that_is_its_own_negative_elsewhere_is_left_out() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
    plain = ranking(vectors, 0.5)
    distinct = ranking(vectors, 0.5, torch.arange(6))
    assert torch.equal(plain, distinct)
    repeated = ranking(vectors, 0.5, torch.tensor([0, 1, 2, 3, 3, 5]))  # the first negative is the second positive
    scores = vectors[:2] @ vectors[2:].T / 0.5
    scores[1, 2] = float("-inf")
    torch.testing.assert_close(repeated, torch.nn.functional.cross_entropy(scores, torch.arange(2)))


def test_a_fine_tune_on_triplets_uses_them_and_says_so(tmp_path: Path) -> None:
    file = published(tmp_path)
    log = tmp_path / "log.jsonl"
    with_them = finetune("tiny", file, tmp_path / "out", text_column="sent0,sent1,hard_neg", log_file=log, **SETTINGS)
    without = finetune("tiny", file, text_column="sent0,sent1", **SETTINGS)
    assert with_them.views == "known pairs, each with a negative"
    assert json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))["corpora"][0]["negatives"]
    assert len(log.read_text("utf-8").splitlines()) == 3
    assert np.abs(with_them.encoder.encode(SENTENCES) - without.encoder.encode(SENTENCES)).max() > 1e-4
    with pytest.raises(ConfigError, match=r"loss .*: known pairs with a negative each have a loss of their own"):
        finetune("tiny", TRIPLES, loss=lambda first, second, temperature: (first - second).sum(), **SETTINGS)
