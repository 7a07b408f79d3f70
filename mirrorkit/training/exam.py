"""What is measured before and after a training: labelled sets, and without labels the strings held out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mirrorkit.correlation import Array
from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.cut import Cut, Kept
from mirrorkit.evaluation.own import OwnSet, graded_set, read_all
from mirrorkit.evaluation.pairs import GradedPairs, TextEncoder, correlate, pair_cosines
from mirrorkit.evaluation.sts import StsReport, folder_tasks, read_tasks
from mirrorkit.extras import require
from mirrorkit.formats.training_record import ChangeRecord, CutRecord
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.training.attempt import Attempt
from mirrorkit.training.clock import Clock
from mirrorkit.training.probe import Probe
from mirrorkit.training.result import Run
from mirrorkit.training.verdict import Look, judge, look

require("torch", extra="train")
import torch


@dataclass(frozen=True)
class Marks:
    """What one encoder reached."""

    sts: StsReport | None
    items: dict[str, Array]
    look: Look | None
    cuts: Mapping[int, dict[str, Array]] = field(default_factory=dict)  # the items, by the length of cut vectors

    @property
    def mrr(self) -> float | None:
        """Mean reciprocal rank × 100 on the strings held out."""
        return self.look.mrr if self.look else None


class Exam:
    """The labelled sets, read and checked, and how long they took."""

    def __init__(self, sts: Sequence[GradedPairs] = (), own: Sequence[OwnSet] = ()) -> None:
        self._sts, self._own = list(sts), list(own)

    def take(
        self,
        encoder: SentenceEncoder,
        when: str,
        clock: Clock,
        progress: Progress,
        dtype: torch.dtype,
        probe: Probe | str | None,
        dims: Sequence[int] = (),
    ) -> Marks:
        """Measure an encoder; without a probe on the labelled sets alone, and with vectors as they are.

        With a probe the labelled sets are scored with vectors cut to each of `dims` too.
        """
        found: dict[str, Array] = {}
        report: StsReport | None = None
        if self._sts or self._own:
            progress.phase(f"scoring {when}")
        with clock("evaluate"):
            kept = Kept(encoder) if dims and probe is not None else encoder
            if self._sts:
                cosines = pair_cosines(kept, self._sts, progress)
                report = StsReport({one.name: correlate(cosines[one.name], one.score) for one in self._sts})
                found |= {f"sts:{name}": values for name, values in cosines.items()}
            found |= {one.name: one.items(kept, progress) for one in self._own}
            cuts = {dim: self._items(Cut(kept, dim)) for dim in dims} if isinstance(kept, Kept) else {}
        with clock("verdict"):
            looked = None
            if isinstance(probe, Probe):
                progress.phase(f"asking the strings held out {when}")
                looked = look(encoder, probe, dtype, progress)
        return Marks(report, found, looked, cuts)

    def _items(self, encoder: TextEncoder) -> dict[str, Array]:
        return {one.name: one.items(encoder, None) for one in self._sets}

    def run(self, done: Attempt | Run, before: Marks, after: Marks, probe: Probe | str | None) -> Run:
        """Return an attempt with its scores; what changed is told of those that had the probe, which may be kept."""
        verdict = judge(before.look, after.look, probe) if isinstance(probe, Probe) else None
        changes = [] if probe is None else self._changes(before.items, after.items)
        cuts = [CutRecord(dim, tuple(self._changes(before.cuts[dim], after.cuts[dim]))) for dim in after.cuts]
        return Run(done.seed, done.stats, after.sts, done.blend, done.dev, tuple(changes), verdict, tuple(cuts))

    @property
    def _sets(self) -> list[OwnSet]:
        return [*(graded_set("sts", pairs) for pairs in self._sts), *self._own]

    def _changes(self, before: Mapping[str, Array], after: Mapping[str, Array]) -> list[ChangeRecord]:
        found = []
        for one in self._sets:
            first, second = before[one.name], after[one.name]
            change = one.change(first, second)
            found.append(
                ChangeRecord(
                    one.name,
                    one.measure,
                    one.count,
                    before=one.score(first),
                    after=one.score(second),
                    change=change.value,
                    low=change.low,
                    high=change.high,
                )
            )
        return found


def read_exam(eval_dir: str | Path | None, evaluate: str | Path | Sequence[str | Path] | None) -> Exam:
    """Read the folder of STS files and the other labelled sets; a first folder of STS files counts as `eval_dir`."""
    given = [] if evaluate is None else [evaluate] if isinstance(evaluate, (str, Path)) else list(evaluate)
    if eval_dir is None:
        eval_dir = next((one for one in given if _is_sts_folder(one)), None)
        given = [one for one in given if one is not eval_dir]
    sts = read_tasks(eval_dir, folder_tasks(eval_dir)) if eval_dir is not None else []
    own = read_all(given)
    names = {f"sts:{pairs.name}" for pairs in sts}
    if double := next((one.name for one in own if one.name in names), None):
        raise CorpusError(f"two sets are called {double}; scores go by the name of the file, so rename one")
    return Exam(sts, own)


def _is_sts_folder(given: str | Path) -> bool:
    path = local_path(given)
    return path.is_dir() and not any(path.glob("queries.jsonl*"))
