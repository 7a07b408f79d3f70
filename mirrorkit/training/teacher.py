"""What a teacher adds to the loss: of each text, how near the others of the batch are to it, as the teacher sees it.

Both have for each text a distribution over the others: the softmax of their cosines at a temperature. The student's is
held to the teacher's by the Kullback-Leibler divergence, which is ListNet's loss of a ranking but for a constant.

Source: ranking distillation, Liu et al. 2023 (RankCSE, arXiv:2305.16726), with ListNet of Cao et al. 2007 (ICML).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.text.ragged import Ints
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.own import name_of
from mirrorkit.training.pairs import neighbours
from mirrorkit.training.recipe import Changes, Recipe, changed
from mirrorkit.training.teacher_vectors import Teacher
from mirrorkit.training.view_choice import Views

require("torch", extra="train")
import torch
from torch import Tensor

if TYPE_CHECKING:
    from mirrorkit.training.objective import Batch

Teachers = str | Path | Sequence[str | Path] | None

_NEVER = -1e9  # in the place of a cosine: so far below all others that the softmax gives 0, and never NaN


def check_teacher(
    teacher: Teachers, recipe: str | Recipe, changes: Changes, loss: Callable[..., object] | None
) -> None:
    """Raise ConfigError for what is no teacher, and for what does not go with one, or with none.

    `changes` are those of the recipe, `loss` is the user's own.
    """
    if teacher is None:
        for name in ("teacher_weight", "teacher_temperature", "student_temperature"):
            if (value := changes.get(name)) is not None:
                raise ConfigError(f"{name} {value}: is of what a `teacher` adds to the loss, and none is given")
        return
    given = as_list(teacher)
    if not given or not all(isinstance(one, (str, Path)) for one in given):
        raise ConfigError(f"teacher {teacher!r}: must be a model or bundle, by its folder or name, or a list of them")
    if loss is not None:
        raise ConfigError(f"loss {name_of(loss)}: goes without a `teacher`, who adds to the loss of the recipe alone")
    weight = changed(recipe if isinstance(recipe, Recipe) else Recipe(), changes).teacher_weight
    if not weight:
        raise ConfigError("teacher_weight 0: must be above 0 where there is a `teacher`")


def as_list(teacher: Teachers) -> list[str | Path]:
    """Return the teachers as a list, which is empty where none was given; what is no list of names is empty too."""
    if isinstance(teacher, (str, Path)):
        return [teacher]
    return list(teacher) if isinstance(teacher, (list, tuple)) else []


class Taught:
    """The term of one training: the teacher's vectors of the texts that it draws from."""

    def __init__(self, teacher: Teacher, corpus: Corpus, recipe: Recipe) -> None:
        """Find the vectors of the texts behind all views. Of crops and of the user's own views that is the whole text.

        They are the corpus's own texts and, where they have one, their partners and negatives.
        """
        first = second = teacher.rows(corpus.texts)
        if corpus.partners is not None:
            second = teacher.rows(corpus.partners)
        elif recipe.views is Views.ADJACENT:
            second = first[neighbours(np.arange(len(first)), len(first))]
        third = [] if corpus.negatives is None else [teacher.rows(corpus.negatives)]
        self._columns: list[Ints] = [first, second, *third]
        self._teacher, self._recipe = teacher, recipe

    @classmethod
    def of(cls, teacher: Teacher | None, corpus: Corpus, recipe: Recipe) -> Taught | None:
        """Return the term; None without a teacher."""
        return None if teacher is None else cls(teacher, corpus, recipe)

    def loss(self, vectors: Tensor, batch: Batch) -> Tensor:
        """Return the weighted term for unit vectors [views * pairs, dim] of the batch, first views before the others.

        A text is compared with all but itself, its own second view and repeats of either.
        """
        rows, pairs = len(vectors), batch.pairs
        place = torch.arange(rows, device=vectors.device)
        left_out = torch.eye(rows, dtype=torch.bool, device=vectors.device)
        positive = (place[: 2 * pairs] + pairs) % (2 * pairs)
        left_out[place[: 2 * pairs], positive] = True
        if batch.labels is not None:
            left_out |= batch.labels[:, None] == batch.labels[None, :]
        recipe = self._recipe
        return recipe.teacher_weight * listwise(
            vectors, self.similarities(batch, vectors.device), left_out, recipe.student_temperature,
            recipe.teacher_temperature,
        )  # fmt: skip

    def similarities(self, batch: Batch, device: torch.device) -> Tensor:
        """Return the cosines of the texts behind the batch's views, [views * pairs] squared, the mean over teachers."""
        places = np.concatenate([column[batch.texts] for column in self._columns[: batch.views]])
        total = torch.zeros(len(places), len(places), device=device)
        with torch.autocast(device.type, enabled=False):
            for known in self._teacher.vectors:
                own = torch.from_numpy(known[places].astype(np.float32)).to(device)
                total += own @ own.T
        return total / len(self._teacher.vectors)


def listwise(
    vectors: Tensor, similarities: Tensor, left_out: Tensor, temperature: float, teacher_temperature: float
) -> Tensor:
    """Return the mean over texts of KL(teacher's distribution over the others, student's), in nats.

    `vectors` are unit vectors [n, dim], `similarities` the teacher's cosines [n, n]; `left_out` [n, n] says with whom
    a text is not compared. A text that is compared with nobody adds nothing.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        student = (vectors.float() @ vectors.float().T / temperature).masked_fill(left_out, _NEVER)
        teacher = (similarities / teacher_temperature).masked_fill(left_out, _NEVER)
        return torch.nn.functional.kl_div(
            student.log_softmax(dim=-1), teacher.log_softmax(dim=-1), reduction="batchmean", log_target=True
        )
