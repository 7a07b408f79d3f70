"""The trainings of several seeds from one base: scored before and after, and one of them, or their mean, kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.attempt import Attempt
from mirrorkit.training.average import AverageReport, SeedsMean
from mirrorkit.training.exam import Exam, Marks
from mirrorkit.training.probe import Probe
from mirrorkit.training.result import Run


@dataclass(frozen=True)
class Trained:
    encoder: SentenceEncoder  # that is kept
    runs: list[Run]
    saved: Run  # whose weights the encoder has
    average: AverageReport | None
    before: Marks  # of the base


def over_seeds(
    seeds: int,
    load: Callable[[int], SentenceEncoder],
    train: Callable[[SentenceEncoder, int], Attempt],
    exam: Exam,
    score: Callable[..., Marks],
    probe: Probe | str | None,
    mean: SeedsMean | None,
) -> Trained:
    """Load the base and train it so many times, counted from 0; keep the first, or, with a `mean`, what it settles."""
    before: Marks | None = None
    kept: SentenceEncoder | None = None
    runs: list[Run] = []
    for number in range(seeds):
        encoder = load(number)
        asked = probe if number == 0 or mean else None  # a verdict is on what may be kept
        before = before or score(encoder, "before", probe=asked)
        done = train(encoder, number)
        after = score(encoder, "after", probe=asked)
        runs.append(exam.run(done, before, after, asked))
        if mean:
            mean.add(encoder, done.seed, after.mrr)
        kept = kept or encoder
    assert kept is not None  # there is at least one
    assert before is not None
    if mean is None:
        return Trained(kept, runs, runs[0], None, before)
    mean.give(kept)
    after = score(kept, "after", probe=probe)
    report = mean.settle(kept, after.mrr)
    one = next((run for run in runs if run.seed == report.kept), None)
    return Trained(kept, runs, one or exam.run(runs[0], before, after, probe), report, before)
