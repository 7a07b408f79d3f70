"""Means of weights: of the last steps of a run, and of the runs of several seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from mirrorkit import FinetuneResult, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training import loop
from mirrorkit.training.average import AverageReport, SeedsMean
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.recipe import Recipe

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 5, "max_length": 24, "device": "cpu", "autocast": "fp32"}
SETTINGS |= {"learning_rate": 1e-3}


@pytest.fixture
def base(tiny_random: Callable[[str], Path]) -> Path:
    return tiny_random("bert")


def weights(encoder: SentenceEncoder) -> dict[str, np.ndarray[Any, Any]]:
    return {name: weight.detach().numpy().copy() for name, weight in encoder.named_parameters()}


def close(left: dict[str, np.ndarray[Any, Any]], right: dict[str, np.ndarray[Any, Any]]) -> None:
    assert left.keys() == right.keys()
    for name, own in left.items():
        np.testing.assert_allclose(own, right[name], rtol=0, atol=2e-7, err_msg=name)


def after_each_step(base: Path, recipe: Recipe) -> tuple[list[dict[str, np.ndarray[Any, Any]]], SentenceEncoder]:
    """Return the weights that were to be seen after each step, and the encoder after the run."""
    encoder = SentenceEncoder.load(base, dropout=recipe.dropout)
    seen: list[dict[str, np.ndarray[Any, Any]]] = []
    loop.train(
        encoder,
        load_corpus(SENTENCES),
        recipe,
        seed=1,
        device="cpu",
        autocast="fp32",
        after_step=lambda done, total: seen.append(weights(encoder)),
    )
    return seen, encoder


@pytest.mark.parametrize(("share", "last"), [(0.4, 2), (0.5, 2), (0.8, 4), (0.05, 0)])
def test_the_last_steps_weights_are_averaged_as_numpy_does(base: Path, share: float, last: int) -> None:
    recipe = Recipe(batch_size=8, steps=5, max_length=24, learning_rate=1e-3)
    plain, end = after_each_step(base, recipe)
    shown, averaged = after_each_step(base, Recipe(**{**vars(recipe), "average_last": share}))
    wanted = {name: np.mean([one[name] for one in plain[-last:]], axis=0) for name in plain[0]} if last else plain[-1]
    close(weights(averaged), wanted)
    close(shown[-1], wanted)  # who looks after the last step sees what is kept
    for own, other in zip(shown[: 5 - last], plain, strict=False):  # and the training itself goes on undisturbed
        close(own, other)
    close(weights(end), plain[-1])


def test_half_of_the_mean_is_the_mean_of_so_many(base: Path) -> None:
    recipe = Recipe(batch_size=8, steps=5, max_length=24, learning_rate=1e-3)
    plain, _ = after_each_step(base, recipe)
    shown, _ = after_each_step(base, Recipe(**{**vars(recipe), "average_last": 0.8}))
    for done in (2, 3, 4, 5):
        close(shown[done - 1], {name: np.mean([one[name] for one in plain[1:done]], axis=0) for name in plain[0]})


def seeds(base: Path, out: Path | None = None, **more: Any) -> FinetuneResult:
    return finetune(base, SENTENCES, out, **{**SETTINGS, "seeds": 3, "average": True, "seed": 7, **more})


def test_the_mean_of_seeds_is_that_of_their_single_runs(base: Path, tmp_path: Path) -> None:
    single = [weights(finetune(base, SENTENCES, seed=7 + i, **SETTINGS).encoder) for i in range(3)]
    result = seeds(base, tmp_path / "out")
    wanted = {name: np.mean([one[name].astype(np.float64) for one in single], axis=0) for name in single[0]}
    close(weights(result.encoder), wanted)
    assert result.average is not None
    assert (result.average.seeds, result.average.kept) == ((7, 8, 9), None)
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert (record["average"], record["seeds"]) == (result.average.why, [7, 8, 9])
    assert "mean of the weights of 3 seeds; no strings" in (tmp_path / "out" / "README.md").read_text()
    saved = SentenceEncoder.load(tmp_path / "out")
    np.testing.assert_array_equal(saved.encode(SENTENCES[:3]), result.encoder.encode(SENTENCES[:3]))


def test_it_goes_with_blending_and_choosing_a_checkpoint(base: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text(GRADED.read_text(encoding="utf-8"), encoding="utf-8")
    more: dict[str, Any] = {"blend": "0.5", "dev": f"sts:{tmp_path / 'pairs.tsv'}", "average_last": 0.6}
    single = [finetune(base, SENTENCES, seed=7 + i, **SETTINGS, **more) for i in range(3)]
    result = seeds(base, **more)
    each = [weights(one.encoder) for one in single]
    wanted = {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}
    close(weights(result.encoder), wanted)
    assert [run.dev for run in result.runs] == [one.saved.dev for one in single]
    assert str(result.record().blend).startswith("seed 7: 0.5 of the start's weights; seed 8:")


@pytest.mark.parametrize("worse", [True, False])
def test_the_best_seed_is_kept_where_the_mean_is_worse(base: Path, *, worse: bool) -> None:
    first, second = (SentenceEncoder.load(base) for _ in range(2))
    with torch.no_grad():
        for weight in second.parameters():
            weight.add_(1)
    mean = SeedsMean()
    mean.add(first, 1, 50.0)
    mean.add(second, 2, 60.0)
    middle = SentenceEncoder.load(base)
    mean.give(middle)
    report = mean.settle(middle, 59.9 if worse else 60.0)
    start = weights(first)
    assert report.kept == (2 if worse else None)
    close(weights(middle), {name: own + (1 if worse else 0.5) for name, own in start.items()})
    assert report.why == (
        "the mean of the weights of 2 seeds is worse than one of them, so seed 2 is kept (MRR of held-out strings: "
        "mean 59.9, seeds 1: 50.0, 2: 60.0)"
        if worse
        else "the mean of the weights of 2 seeds is kept (MRR of held-out strings: mean 60.0, seeds 1: 50.0, 2: 60.0)"
    )


def test_what_is_kept_is_what_the_figures_are_of(tmp_path: Path) -> None:
    names = [line.split("\t")[i] for line in GRADED.read_text(encoding="utf-8").splitlines() for i in (1, 2)]
    texts = [f"{one} {other}" for one in names[:40] for other in names[-40:]]
    (tmp_path / "pairs.tsv").write_text(GRADED.read_text(encoding="utf-8"), encoding="utf-8")
    result = finetune("tiny", texts, seeds=2, average=True, evaluate=tmp_path / "pairs.tsv", **{**SETTINGS, "steps": 1})
    report = result.average
    assert report is not None
    assert report.mean is not None
    assert result.verdict is not None
    scores = {run.seed: run.verdict.after.mrr for run in result.runs if run.verdict}
    assert report.scores == scores
    kept = report.mean if report.kept is None else scores[report.kept]
    assert result.verdict.after.mrr == kept >= max(scores.values())
    own = finetune("tiny", texts, seeds=1, evaluate=tmp_path / "pairs.tsv", **{**SETTINGS, "steps": 1})
    assert own.verdict is not None
    assert own.verdict.after.mrr == scores[42]


def test_bad_input(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"`average` is of the weights of several seeds"):
        seeds(base, seeds=1)
    with pytest.raises(ConfigError, match="lora 4: must be 0 where `average_last` is given"):
        Recipe(lora=4, average_last=0.5)
    for value in (1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match=r"average_last .*: must be at least 0 and below 1"):
            Recipe(average_last=value)


def test_a_report_without_strings_held_out() -> None:
    report = AverageReport((1, 2), {}, None)
    assert report.kept is None
