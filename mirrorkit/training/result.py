"""What a fine-tune returns: the encoder and every figure that was measured on the way."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from mirrorkit.formats.plain import plain
from mirrorkit.formats.training_record import (
    ChangeRecord,
    CorpusRecord,
    CutRecord,
    ScoresRecord,
    TeacherRecord,
    TrainingRecord,
)
from mirrorkit.machine.facts import versions

if TYPE_CHECKING:
    from mirrorkit.evaluation.sts import StsReport
    from mirrorkit.model.encoder import SentenceEncoder
    from mirrorkit.training.average import AverageReport
    from mirrorkit.training.best import DevReport
    from mirrorkit.training.blend import BlendReport
    from mirrorkit.training.corpus import Corpus
    from mirrorkit.training.recipe import Recipe
    from mirrorkit.training.verdict import Verdict
    from mirrorkit.training.watch import TrainStats


@dataclass(frozen=True)
class Run:
    """One training from the base with one seed."""

    seed: int
    stats: TrainStats
    after: StsReport | None
    blend: BlendReport | None = None
    dev: DevReport | None = None
    changes: tuple[ChangeRecord, ...] = ()
    verdict: Verdict | None = None
    cuts: tuple[CutRecord, ...] = ()


@dataclass(frozen=True)
class FinetuneResult:
    """The encoder that is kept, where it was saved, and the figures. Seconds are wall time.

    >>> from mirrorkit import finetune
    >>> result = finetune("tiny", ["A cat sleeps.", "A kitten naps.", "Shares fell."], epochs=1)
    >>> result.stats.steps, result.stats.pairs, result.pairs_per_second > 0
    (1, 3, True)
    >>> sorted(result.seconds)
    ['evaluate', 'load', 'save', 'tokenise', 'total', 'train', 'verdict']
    """

    encoder: SentenceEncoder
    out: Path | None
    base: str
    recipe_name: str
    recipe: Recipe
    views: str  # which two views the strings had, and why
    kind: str | None  # what `auto` took the strings for, and why
    corpus: Corpus
    runs: list[Run]
    saved: Run  # whose weights are kept: the first of the runs, or the mean of all with its own scores
    before: StsReport | None
    seconds: dict[str, float]  # load, tokenise, train, evaluate, verdict, save, total
    trust_remote_code: bool = False  # whether code that came with the base was allowed to run
    no_verdict: str | None = None  # why there is none
    loss_function: str | None = None  # of the user's that took the place of NT-Xent
    module: bool = False  # whether the base is a module of the user's, of the class `base`
    average: AverageReport | None = None  # whether the mean of the runs' weights was kept
    teachers: tuple[TeacherRecord, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """Whether it helped, told without labels; None where it cannot be told, see `no_verdict`."""
        return self.saved.verdict

    @property
    def changes(self) -> tuple[ChangeRecord, ...]:
        """What became of each labelled set, × 100.

        >>> from mirrorkit import finetune
        >>> result = finetune("tiny", "corpus.txt", evaluate="knn:topics.tsv", steps=2, batch_size=32)
        >>> [(one.name, one.measure, one.items) for one in result.changes]
        [('knn:topics', 'kNN accuracy', 12)]
        """
        return self.saved.changes

    @property
    def cuts(self) -> tuple[CutRecord, ...]:
        """The same with vectors cut to each of the lengths that `matryoshka` names, in the first run.

        >>> from mirrorkit import finetune
        >>> options = {"steps": 2, "batch_size": 32, "matryoshka": "64,128"}
        >>> result = finetune("tiny", "corpus.txt", evaluate="knn:topics.tsv", **options)
        >>> [(cut.dim, cut.changes[0].name) for cut in result.cuts]
        [(64, 'knn:topics'), (128, 'knn:topics')]
        """
        return self.runs[0].cuts

    @property
    def stats(self) -> TrainStats:
        """Figures of the run that is saved; of a mean those of its first run."""
        return self.saved.stats

    @property
    def after(self) -> StsReport | None:
        """Scores after training of what is saved, None where nothing was scored."""
        return self.saved.after

    @property
    def pairs_per_second(self) -> float:
        """Pairs trained on in a second, loading and tokenising left out."""
        return self.stats.pairs / self.stats.train_seconds

    @property
    def averages(self) -> list[float]:
        """STS average of each run, empty where nothing was scored."""
        return [run.after.average for run in self.runs if run.after]

    @property
    def blend(self) -> str | None:
        """Which share of the base's weights was kept, and why."""
        return _each([(run.seed, run.blend) for run in self._behind])

    @property
    def checkpoint(self) -> str | None:
        """Which checkpoint was kept, and why; None for the last, with no labelled set to choose one by."""
        return _each([(run.seed, run.dev) for run in self._behind])

    @property
    def _behind(self) -> list[Run]:
        """The runs whose weights are in what is saved."""
        return self.runs if self.average and self.average.kept is None else [self.saved]

    def record(self) -> TrainingRecord:
        """Return what is saved beside the model."""
        recipe, corpus, stats = self.recipe, self.corpus, self.stats
        return TrainingRecord(
            base=self.base,
            recipe=self.recipe_name,
            hyper_parameters=plain(recipe),
            corpora=(
                CorpusRecord(
                    name=corpus.name,
                    sha256=corpus.sha256,
                    bytes=corpus.size,
                    rows=corpus.rows,
                    blank=corpus.blank,
                    repeats=corpus.repeats,
                    strings=len(corpus),
                    pairs=corpus.partners is not None,
                    negatives=corpus.negatives is not None,
                    unit=str(corpus.unit),
                    skipped=corpus.skipped,
                    understood=corpus.understood,
                ),
            ),
            seeds=tuple(run.seed for run in self.runs),
            dim=self.encoder.dim,
            max_length=self.encoder.max_length,
            device=stats.device,
            precision=stats.precision,
            hardware=stats.hardware,
            versions=versions("mirrorkit", "torch", "transformers", "tokenizers"),
            date=f"{datetime.now(timezone.utc):%Y-%m-%d}",
            steps=stats.steps,
            pairs=stats.pairs,
            views=self.views,
            kind=self.kind,
            average=self.average.why if self.average else None,
            blend=self.blend,
            dev=self.checkpoint,
            seconds=self.seconds,
            train_seconds=stats.train_seconds,
            memory=stats.memory,
            processes=stats.processes,
            trust_remote_code=self.trust_remote_code,
            normalized=self.encoder.usage.normalized,
            before=_scores(self.before),
            after=_scores(self.after),
            changes=self.changes,
            cuts=self.cuts,
            verdict=self.verdict.record() if self.verdict else None,
            no_verdict=self.no_verdict,
            loss_function=self.loss_function,
            module=self.module,
            teachers=self.teachers,
        )

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain data."""
        record, averages = plain(self.record()), self.averages
        (corpus,) = record.pop("corpora")
        runs = [
            {"seed": run.seed, "loss": run.stats.loss, "average": run.after.average if run.after else None}
            for run in self.runs
        ]
        return {
            "out": str(self.out) if self.out else None,
            **record,
            "corpus": corpus,
            "loss": self.stats.loss,
            "pairs_per_second": self.pairs_per_second,
            "peak_memory_bytes": self.stats.peak_memory_bytes,
            "peak_device_memory_bytes": self.stats.peak_device_memory_bytes,
            "before": self.before.as_dict() if self.before else None,
            "after": self.after.as_dict() if self.after else None,
            "runs": runs,
            "mean": statistics.fmean(averages) if averages else None,
            "spread": statistics.stdev(averages) if len(averages) > 1 else None,
        }


def _each(reports: Sequence[tuple[int, BlendReport | DevReport | None]]) -> str | None:
    """Return what the reports say; of several which seed says what."""
    said = [(seed, report.why) for seed, report in reports if report]
    if len(said) > 1:
        return "; ".join(f"seed {seed}: {why}" for seed, why in said)
    return said[0][1] if said else None


def _scores(report: StsReport | None) -> ScoresRecord | None:
    if report is None:
        return None
    return ScoresRecord({task: score.spearman for task, score in report.tasks.items()}, report.average)
