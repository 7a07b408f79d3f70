"""Did it help? Told without labels, by strings that were held out of the training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mirrorkit.correlation import Array
from mirrorkit.evaluation.intervals import Interval, paired_difference
from mirrorkit.evaluation.nearest import encode_unit
from mirrorkit.evaluation.ranking import rank
from mirrorkit.extras import require
from mirrorkit.formats.training_record import HELPED, HURT, NO_CHANGE, LookRecord, VerdictRecord
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.progress import Progress
from mirrorkit.text.ragged import Floats
from mirrorkit.training.probe import Probe

require("torch", extra="train")
import torch


@dataclass(frozen=True)
class Look:
    """How an encoder does on a probe."""

    reciprocal: Array  # of each question's rank of its answer, [questions]
    alignment: float  # mean squared distance of question and answer
    uniformity: float  # log of the mean of exp(-2 squared distance) over the answers
    rank: float  # effective rank of the answers' vectors

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank × 100."""
        return 100 * float(self.reciprocal.mean())

    def record(self) -> LookRecord:
        """Return its figures."""
        return LookRecord(self.mrr, self.alignment, self.uniformity, self.rank)


@dataclass(frozen=True)
class Verdict:
    """Whether held-out halves find each other better than before."""

    outcome: str  # helped, no change or hurt
    change: Interval  # of the mean reciprocal rank × 100, with its 95 % interval
    before: Look
    after: Look
    probe: Probe

    @property
    def line(self) -> str:
        """Say it in a sentence for people."""
        return self.record().line

    def record(self) -> VerdictRecord:
        """Return what is saved beside the model."""
        probe, change = self.probe, self.change
        return VerdictRecord(
            outcome=self.outcome,
            task=probe.task,
            held_out=probe.held_out,
            questions=len(probe.questions),
            among=probe.among,
            before=self.before.record(),
            after=self.after.record(),
            change=change.value,
            low=change.low,
            high=change.high,
        )


def look(
    encoder: SentenceEncoder, probe: Probe, dtype: torch.dtype = torch.float32, progress: Progress | None = None
) -> Look:
    """Let every question of the probe look for its answer; matrices are multiplied in `dtype`, as in the training.

    Vectors from bf16 differ by 1e-3, the mean of the reciprocal ranks in its fourth digit, and take half the time.
    """
    with torch.autocast(encoder.device.type, dtype, enabled=dtype != torch.float32):
        return look_at(encode_unit(encoder, probe.questions), encode_unit(encoder, probe.answers, progress))


def look_at(questions: Floats, answers: Floats) -> Look:
    """Rank the answers for every question by cosine, both unit vectors, [questions, dim] and [answers, dim]."""
    cosines = questions.astype(np.float64) @ answers.astype(np.float64).T
    right = [np.array([i]) for i in range(len(questions))]
    found = rank(lambda part: cosines[part], right, len(answers))
    own = np.diag(cosines)
    among = (answers @ answers.T)[np.triu_indices(len(answers), 1)].astype(np.float64)
    spectrum = np.linalg.svd(answers, compute_uv=False).astype(np.float64)
    shares = spectrum / spectrum.sum()
    return Look(
        reciprocal=found.reciprocal,
        alignment=float((2 - 2 * own).mean()),
        uniformity=float(np.log(np.exp(-2 * (2 - 2 * among)).mean())),
        rank=float(np.exp(-(shares * np.log(np.maximum(shares, 1e-30))).sum())),
    )


def judge(before: Look | None, after: Look | None, probe: Probe) -> Verdict:
    """Return the verdict: helped or hurt where the 95 % interval of the change leaves 0 out."""
    assert before is not None
    assert after is not None
    change = paired_difference(100 * after.reciprocal, 100 * before.reciprocal)
    outcome = HELPED if change.low > 0 else HURT if change.high < 0 else NO_CHANGE
    return Verdict(outcome, change, before, after, probe)
