"""Texts with labels: do the nearest texts share a text's label, and do clusters of the vectors follow the labels?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.correlation import Array
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation.clusters import Labels, kmeans, v_measure
from mirrorkit.evaluation.intervals import Interval, mean_intervals
from mirrorkit.evaluation.nearest import encode_unit, nearest
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.evaluation.tables import Row, Table, read_table
from mirrorkit.progress import Progress
from mirrorkit.text.dialect import TAB
from mirrorkit.text.ragged import Floats

log = logging.getLogger(__name__)

NEIGHBOURS = 10
CLUSTERINGS = 10  # k-means runs, each with starts of its own
_TEXT = ("text", "sentence", "document")
_LABEL = ("label", "class", "category", "intent")
_SPLIT = "split"
_ASIDE = ("dev", "validation", "valid")  # splits that are neither searched nor scored


@dataclass(frozen=True)
class LabelledTexts:
    name: str
    texts: list[str]
    labels: list[str]
    scored: list[bool] | None  # whether a text is scored, or else searched; None: each is, among all the others


@dataclass(frozen=True)
class KnnScore:
    """How well vectors tell labels apart, times 100, with 95 % intervals.

    >>> from mirrorkit import SentenceEncoder, evaluate_knn
    >>> score = evaluate_knn(SentenceEncoder.load("tiny"), "topics.tsv")
    >>> score.v_measure.low <= score.v_measure.value <= score.v_measure.high
    True
    """

    accuracy: Interval  # share of texts whose nearest ones vote for their label; bootstrap over the texts
    v_measure: Interval  # of k-means, mean over its runs and how well that is known; bootstrap over the runs
    texts: int  # scored
    searched: int  # neighbours come from among these; as many as texts where each is scored among all the others
    classes: int

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain data."""
        return asdict(self)


def evaluate_knn(encoder: TextEncoder, file: str | Path, progress: Progress | None = None) -> KnnScore:
    """Score `encoder` on a file of rows `text<TAB>label`, or a .csv: do the ten nearest texts share a text's label?

    A third column `train` or `test` says which texts are searched and which scored; without it each is scored among all
    others. Raises CorpusError for a row that does not fit, with its file and line, and for fewer than two labels.

    >>> from mirrorkit import SentenceEncoder, evaluate_knn
    >>> score = evaluate_knn(SentenceEncoder.load("tiny"), "topics.tsv")
    >>> score.texts, score.classes
    (12, 2)
    """
    return score_knn(encoder, read_labelled(file), progress)


def read_labelled(file: str | Path) -> LabelledTexts:
    """Read `text<TAB>label` a row, or commas in a .csv, and where there is one a third column `split`.

    With a header (text, sentence or document; label, class, category or intent; split) columns are taken by name and
    others left alone. Of a split, `test` rows are scored and `train` rows searched; `dev` rows are left aside. Rows
    that repeat one before them are dropped, as a text would find itself. Raises CorpusError naming file and line for a
    row that does not fit, and for a file with a single label.
    """
    table = read_table(file, (TAB,), "file of labelled texts")
    path = table.file
    rows, places = _columns(table)
    found: dict[tuple[str, ...], None] = {}
    for row in rows:
        table.check_width(row, len(table.rows[0].cells))
        cells = [table.text(row, places[0], "text"), table.text(row, places[1], "label")]
        if len(places) > 2:
            cells.append(_split(table, row, places[2]))
        found[tuple(cells)] = None
    if len(rows) > len(found):
        log.warning("%s: %d rows repeat one before them and are dropped", path, len(rows) - len(found))
    kept = [cells for cells in found if cells[2:] != ("dev",)]
    scored = [cells[2] == "test" for cells in kept] if len(places) > 2 else None
    return _checked(LabelledTexts(path.stem, [cells[0] for cells in kept], [cells[1] for cells in kept], scored), path)


def _columns(table: Table) -> tuple[list[Row], list[int]]:
    """Return the rows below the header, and where text, label and, if there is one, split stand."""
    names = [cell.strip().lower() for cell in table.rows[0].cells] if table.rows else []
    text, label = ([i for i, name in enumerate(names) if name in known] for known in (_TEXT, _LABEL))
    if text and label:
        split = [names.index(_SPLIT)] if _SPLIT in names else []
        return table.rows[1:], [text[0], label[0], *split]
    if table.rows and len(names) not in (2, 3):
        raise table.fault(table.rows[0], f"has {len(names)} columns, wanted text, label and perhaps split, or a header")
    return table.rows, list(range(len(names)))


def _split(table: Table, row: Row, column: int) -> str:
    split = table.text(row, column, _SPLIT).lower()
    if split in _ASIDE:
        return "dev"
    if split not in ("train", "test"):
        raise table.fault(row, f"the split {split!r} must be train, test or dev")
    return split


def _checked(data: LabelledTexts, path: Path) -> LabelledTexts:
    """Return the texts; raises CorpusError where labels or texts are too few."""
    classes = set(data.labels)
    if len(classes) < 2:
        raise CorpusError(f"{path}: {len(data.texts)} texts with {len(classes)} label; at least 2 labels are needed")
    scored = len(data.texts) if data.scored is None else sum(data.scored)
    searched = len(data.texts) - (1 if data.scored is None else scored)
    if not scored or searched < NEIGHBOURS:
        raise CorpusError(
            f"{path}: {scored} texts to score, each among {searched}; there must be one and {NEIGHBOURS} at least"
        )
    if len({label for label, each in zip(data.labels, data.scored or [True] * scored, strict=True) if each}) < 2:
        raise CorpusError(f"{path}: all {scored} texts of the split test have one label; at least 2 are needed")
    return data


def score_knn(
    encoder: TextEncoder,
    data: LabelledTexts,
    progress: Progress | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    seed: int = 0,
) -> KnnScore:
    """Let the `neighbours` nearest texts by cosine vote for a label, and cluster the scored texts.

    The vote is that of scikit-learn's KNeighborsClassifier(10, metric="cosine"): one text one vote, and of labels with
    as many votes the first in order. Clusters are those of k-means on unit vectors with as many clusters as labels;
    V-measure after Rosenberg & Hirschberg 2007, as in the clustering tasks of mteb.
    """
    vectors = encode_unit(encoder, data.texts, progress)
    correct, rows = _votes(vectors, data, neighbours)
    labels = _numbered(data.labels)[rows]
    clusters = len(np.unique(labels))
    runs = [v_measure(labels, kmeans(vectors[rows], clusters, seed + run)) for run in range(CLUSTERINGS)]
    return KnnScore(
        accuracy=mean_intervals(100 * correct[None, :], seed=seed)[0],
        v_measure=mean_intervals(100 * np.array([runs]), seed=seed)[0],
        texts=len(rows),
        searched=len(data.texts) if data.scored is None else len(data.texts) - len(rows),
        classes=len(set(data.labels)),
    )


def knn_scores(encoder: TextEncoder, data: LabelledTexts, progress: Progress | None = None) -> Array:
    """Return 1 for every scored text whose neighbours vote for its label and else 0, [texts]."""
    return _votes(encode_unit(encoder, data.texts, progress), data, NEIGHBOURS)[0]


def _votes(vectors: Floats, data: LabelledTexts, neighbours: int) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return whether each scored text gets its label, float64 [texts], and which rows these are."""
    every = np.arange(len(vectors))
    if data.scored is None:
        rows, pool, hidden = every, every, every.tolist()
    else:
        rows, pool, hidden = every[data.scored], every[~np.array(data.scored)], None
    if not 1 <= neighbours <= len(pool) - (hidden is not None):
        raise ConfigError(f"neighbours {neighbours}: must be from 1 to the {len(pool)} texts that are searched")
    found = pool[nearest(vectors[rows], vectors[pool], neighbours, hidden)]  # [texts, neighbours]
    labels = _numbered(data.labels)
    counted = labels[found] + (labels.max() + 1) * np.arange(len(rows))[:, None]
    votes = np.bincount(counted.ravel(), minlength=len(rows) * (labels.max() + 1)).reshape(len(rows), -1)
    return (votes.argmax(axis=1) == labels[rows]).astype(np.float64), rows


def _numbered(labels: Sequence[str]) -> Labels:
    """Return the number of each label in their order."""
    number = {label: i for i, label in enumerate(sorted(set(labels)))}
    return np.array([number[label] for label in labels])
