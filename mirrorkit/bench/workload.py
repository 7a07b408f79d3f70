"""The texts of a run: graded sets to score on, a pool to search, a workload to time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import GradedPairs, read_pairs
from mirrorkit.evaluation.sts import read_tasks
from mirrorkit.verification.texts import even_sample

ASSETS = Path(__file__).parents[1] / "assets"
GRADED, CALIBRATION = ASSETS / "graded.tsv", ASSETS / "calibration.txt"
POOL = 2000  # sentences to search, where there are as many
SHORT = "How do I change the billing address on my account?"


@dataclass(frozen=True)
class Workload:
    """Texts, each once in each list."""

    sets: list[GradedPairs]
    graded: list[str]  # the strings of the sets
    pool: list[str]  # to search for neighbours
    timed: list[str]  # the ragged workload
    short: str = SHORT

    @property
    def texts(self) -> list[str]:
        """All that is encoded to measure quality."""
        return list(dict.fromkeys([*self.graded, *self.pool]))


def read_workload(sts: str | Path | None, timed: int) -> Workload:
    """Read the seven sets in `sts`, or the shipped graded set; `timed` is the size of the ragged workload.

    A pool short of 2,000 sentences is filled from the shipped sample as far as that goes. Raises CorpusError for a
    folder or a row that does not fit.
    """
    sets = [read_pairs(GRADED, score_column=0)] if sts is None else read_tasks(sts)
    for data in sets:
        if len(set(data.score)) < 2:
            raise CorpusError(
                f"{sts}: all pairs of {data.name} have the score {data.score[0]:g}, so none can be ranked"
            )
    graded = list(dict.fromkeys(text for data in sets for side in (data.left, data.right) for text in side))
    pool = even_sample(graded, POOL)
    if len(pool) < POOL:
        known = set(pool)
        sample = CALIBRATION.read_text(encoding="utf-8").splitlines()
        pool += even_sample([text for text in sample if text.strip() and text not in known], POOL - len(pool))
    return Workload(sets, graded, pool, even_sample(graded, timed))
