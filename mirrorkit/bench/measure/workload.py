"""The texts of a run: graded sets to score on, a pool to search, a workload to time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mirrorkit.assets.documents import document_sentences
from mirrorkit.assets.paths import CALIBRATION, GRADED
from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.evaluation.sets import QuerySet
from mirrorkit.evaluation.sts import read_tasks
from mirrorkit.text.awkward import even_sample

LONGEST_TIMED = 100_000  # characters; one text of megabytes would be all that the timings tell of
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
    tasks: list[QuerySet] = field(default_factory=list)  # retrieval, search and labels

    @property
    def texts(self) -> list[str]:
        """All that is encoded to measure quality."""
        return list(dict.fromkeys([*self.graded, *self.pool]))


def read_workload(sts: str | Path | None, timed: int) -> Workload:
    """Read the seven sets in `sts`, or the shipped graded set; `timed` is the size of the ragged workload.

    Texts above 100,000 characters are scored and, where there are others, not timed. A pool short of 2,000 sentences
    is filled from the shipped sample, then from the shipped documents. Raises CorpusError for a folder or a row that
    does not fit.
    """
    sets = [read_pairs(GRADED, score_column=0)] if sts is None else read_tasks(sts)
    for data in sets:
        if len(set(data.score)) < 2:
            raise CorpusError(
                f"{sts}: all pairs of {data.name} have the score {data.score[0]:g}, so none can be ranked"
            )
    graded = list(dict.fromkeys(text for data in sets for side in (data.left, data.right) for text in side))
    pool = even_sample(graded, POOL)
    for more in (_calibration, document_sentences):
        if len(pool) < POOL:
            pool += even_sample(_without(pool, more()), POOL - len(pool))
    usual = [text for text in graded if len(text) <= LONGEST_TIMED] or graded
    return Workload(sets, graded, pool, even_sample(usual, timed))


def _without(known: list[str], texts: list[str]) -> list[str]:
    seen = set(known)
    return [text for text in texts if text not in seen]


def _calibration() -> list[str]:
    return [text for text in CALIBRATION.read_text(encoding="utf-8").splitlines() if text.strip()]
