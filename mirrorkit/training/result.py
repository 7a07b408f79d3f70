"""What a fine-tune returns: the encoder and every figure that was measured on the way."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirrorkit.evaluation.sts import StsReport
    from mirrorkit.model import SentenceEncoder
    from mirrorkit.training.corpus import Corpus
    from mirrorkit.training.loop import TrainStats
    from mirrorkit.training.recipes import Recipe


@dataclass(frozen=True)
class Run:
    """One training from the base with one seed."""

    seed: int
    stats: TrainStats
    after: StsReport | None

    def as_dict(self) -> dict[str, object]:
        average = self.after.average if self.after else None
        return {"seed": self.seed, "loss": self.stats.loss, "average": average}


@dataclass(frozen=True)
class FinetuneResult:
    """The first run's encoder, where it was saved, and the figures. Seconds are wall time."""

    encoder: SentenceEncoder
    out: Path | None
    base: str
    recipe_name: str
    recipe: Recipe
    corpus: Corpus
    runs: list[Run]
    before: StsReport | None
    seconds: dict[str, float]  # load, tokenise, train, evaluate, save, total

    @property
    def stats(self) -> TrainStats:
        """Figures of the first run, the one that is saved."""
        return self.runs[0].stats

    @property
    def after(self) -> StsReport | None:
        return self.runs[0].after

    @property
    def pairs_per_second(self) -> float:
        return self.stats.pairs / self.stats.train_seconds

    @property
    def averages(self) -> list[float]:
        """STS average of each run, empty where nothing was scored."""
        return [run.after.average for run in self.runs if run.after]

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        averages = self.averages
        return {
            "out": str(self.out) if self.out else None,
            "base": self.base,
            "recipe": self.recipe_name,
            "hyper_parameters": self.recipe.as_dict(),
            "device": self.stats.device,
            "precision": self.stats.precision,
            "pairs": self.stats.pairs,
            "steps": self.stats.steps,
            "loss": self.stats.loss,
            "seconds": self.seconds,
            "pairs_per_second": self.pairs_per_second,
            "peak_memory_bytes": self.stats.peak_memory_bytes,
            "peak_device_memory_bytes": self.stats.peak_device_memory_bytes,
            "corpus": {
                "name": self.corpus.name,
                "sha256": self.corpus.sha256,
                "bytes": self.corpus.size,
                "strings": len(self.corpus),
                "rows": self.corpus.rows,
                "blank": self.corpus.blank,
                "repeats": self.corpus.repeats,
            },
            "before": self.before.as_dict() if self.before else None,
            "after": self.after.as_dict() if self.after else None,
            "runs": [run.as_dict() for run in self.runs],
            "mean": statistics.fmean(averages) if averages else None,
            "spread": statistics.stdev(averages) if len(averages) > 1 else None,
        }
