"""QNLI as a ranking of pairs: do a question and the sentence that answers it lie nearer than others do?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.correlation import DIGITS, ranks
from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import TextEncoder, encode_strings
from mirrorkit.evaluation.tables import Row, Table, read_table
from mirrorkit.progress import Progress
from mirrorkit.text.dialect import TAB

_LABELS = {"entailment": True, "not_entailment": False}
_COLUMNS = ("question", "sentence", "label")
_ABOVE_ALL = 2.0  # a threshold that no cosine reaches

Cosines = npt.NDArray[np.float64]
Answers = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class QuestionPairs:
    name: str
    question: list[str]
    sentence: list[str]
    answers: list[bool]  # whether the sentence answers the question (entailment)


@dataclass(frozen=True)
class QnliScore:
    """Times 100, but for the threshold."""

    accuracy: float  # on the half of the pairs that the threshold was not chosen on
    auc: float  # over all pairs: chance that an answering pair has the greater cosine, a tie counting half
    threshold: float  # cosine from which a pair is called answering; 2: none is
    pairs: int


def read_qnli(file: str | Path) -> QuestionPairs:
    """Read `question<TAB>sentence<TAB>label` a row, or commas in a .csv; the label is entailment or not_entailment.

    With a header, as in GLUE's own files, columns are taken by name and others left alone. Raises CorpusError naming
    file and line for a row that does not fit, and where all labels are the same.
    """
    table = read_table(file, (TAB,), "file of questions")
    rows, places, width = table.rows, [0, 1, 2], 3
    names = [cell.strip().lower() for cell in rows[0].cells] if rows else []
    if set(_COLUMNS) <= set(names):
        rows, places, width = rows[1:], [names.index(column) for column in _COLUMNS], len(names)
    pairs = QuestionPairs(table.file.stem, [], [], [])
    for row in rows:
        table.check_width(row, width)
        question, sentence, label = places
        pairs.question.append(row.cells[question])
        pairs.sentence.append(row.cells[sentence])
        pairs.answers.append(_label(table, row, label))
    if len(set(pairs.answers)) < 2:
        raise CorpusError(
            f"{table.file}: {len(pairs.answers)} pairs; both labels are needed, entailment and not_entailment"
        )
    return pairs


def _label(table: Table, row: Row, column: int) -> bool:
    label = row.cells[column].strip().lower()
    if label not in _LABELS:
        hint = "; 0 and 1 mean opposite things in different copies" if label in ("0", "1") else ""
        raise table.fault(row, f"the label {label!r} must be entailment or not_entailment{hint}")
    return _LABELS[label]


def score_qnli(
    encoder: TextEncoder, pairs: QuestionPairs, progress: Progress | None = None, *, seed: int = 0
) -> QnliScore:
    """Choose the threshold on a half of the pairs drawn by `seed`, apply it to the other; AUC is over all pairs."""
    cosines = answer_cosines(encoder, pairs, progress)
    answers = np.array(pairs.answers)
    order = np.random.default_rng(seed).permutation(len(answers))
    dev, test = order[: len(order) // 2], order[len(order) // 2 :]
    threshold = best_threshold(cosines[dev], answers[dev])
    accuracy = float(((cosines[test] >= threshold) == answers[test]).mean())
    return QnliScore(100 * accuracy, 100 * area_under_curve(cosines, answers), threshold, len(answers))


def answer_cosines(encoder: TextEncoder, pairs: QuestionPairs, progress: Progress | None = None) -> Cosines:
    """Return the cosine of every question and its sentence, [pairs]."""
    vectors = encode_strings(encoder, [*pairs.question, *pairs.sentence], progress)
    cosines = np.einsum("nd,nd->n", vectors.rows(pairs.question), vectors.rows(pairs.sentence))
    return np.asarray(cosines.round(DIGITS))


def best_threshold(cosines: Cosines, answers: Answers) -> float:
    """Return the threshold of highest accuracy, the lowest of several; pairs of equal cosine are never parted."""
    distinct = np.unique(cosines)
    cuts = np.concatenate([[-1.0], (distinct[1:] + distinct[:-1]) / 2, [_ABOVE_ALL]])
    yes, no = np.sort(cosines[answers]), np.sort(cosines[~answers])
    correct = len(yes) - np.searchsorted(yes, cuts) + np.searchsorted(no, cuts)
    return float(cuts[correct.argmax()])


def area_under_curve(cosines: Cosines, answers: Answers) -> float:
    """Return the area under the ROC curve from mean ranks (Mann & Whitney), in 0 to 1; ties count half."""
    positives = int(answers.sum())
    negatives = len(answers) - positives
    below = ranks(cosines)[answers].sum() - positives * (positives - 1) / 2  # pairs that an answering one beats
    return float(below / (positives * negatives))
