"""The user's own labelled files, of any kind that `evaluate` scores, for a paired comparison of two encoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirrorkit.correlation import Array, spearman
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation.beir import QUERIES, read_retrieval
from mirrorkit.evaluation.bli import lexicon_scores, read_lexicon
from mirrorkit.evaluation.documents import read_search
from mirrorkit.evaluation.entities import linking_scores, read_linking
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.intervals import (
    RESAMPLES,
    Interval,
    paired_difference,
    quantile_interval,
    resampled_spearman,
    times_drawn,
)
from mirrorkit.evaluation.knn import read_labelled
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.pairs import GradedPairs, TextEncoder, pair_cosines
from mirrorkit.evaluation.qnli import QuestionPairs, answer_cosines, area_under_curve, read_qnli
from mirrorkit.evaluation.sets import KNN, RETRIEVAL, SEARCH, QuerySet
from mirrorkit.evaluation.sts import folder_tasks, read_tasks
from mirrorkit.evaluation.tables import is_number, read_table
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.text.dialect import TAB
from mirrorkit.text.opened import kind_by_name

_MEASURES = {"ndcg_at_10": "nDCG@10", "mrr_at_10": "MRR@10", "accuracy": "kNN accuracy"}
_GRADED = (".tsv", ".csv", ".txt")
_LAST = {".csv": 2}  # where a row of three without a header has its score; else it is looked for


@dataclass(frozen=True)
class OwnSet:
    """One labelled set. Its score is made of a figure for each item, which is what a paired bootstrap draws from."""

    name: str  # kind and file, as in `knn:topics`
    measure: str
    count: int  # items
    items: Callable[[TextEncoder, Progress | None], Array]
    gold: tuple[float, ...] | None = None  # human scores: the items are cosines and the score is Spearman's
    answers: tuple[bool, ...] | None = None  # the items are cosines and the score is the area under the curve

    def score(self, items: Array) -> float:
        """Return the score × 100."""
        if self.gold is not None:
            return 100 * spearman(items, self.gold)
        if self.answers is not None:
            return 100 * area_under_curve(items, np.array(self.answers))
        return 100 * float(items.mean())

    def change(self, before: Array, after: Array) -> Interval:
        """Return the change of the score with its 95 % interval, items drawn together (paired bootstrap)."""
        if self.gold is not None:
            drawn = resampled_spearman(self.gold, {"before": before, "after": after}, RESAMPLES, 0)
            return quantile_interval(self.score(after) - self.score(before), 100 * (drawn["after"] - drawn["before"]))
        if self.answers is not None:
            return self._change_of_area(before, after)
        return paired_difference(100 * after, 100 * before)

    def _change_of_area(self, before: Array, after: Array) -> Interval:
        answers = np.array(self.answers)
        draws = []
        for block in times_drawn(len(answers), RESAMPLES, 0):
            for times in block.astype(np.intp):
                rows = np.repeat(np.arange(len(answers)), times)
                drawn = answers[rows]
                if drawn.any() and not drawn.all():
                    draws.append(area_under_curve(after[rows], drawn) - area_under_curve(before[rows], drawn))
        return quantile_interval(self.score(after) - self.score(before), 100 * np.array(draws or [0.0]))


def read_own(given: str | Path) -> list[OwnSet]:
    """Read a labelled file or folder: `KIND:PATH`, or a path alone where its content tells the kind.

    The kinds are those of `evaluate`: sts (a file of graded pairs, or a folder of them), lexical, bli, qnli, retrieval,
    search, knn, and entities with two files, `entities:NAMES,MENTIONS`. A folder in BEIR's layout is taken for
    retrieval, another one for sts, and a file of two texts and a number a row for sts. Raises ConfigError for a kind
    that is unknown or cannot be told, CorpusError for a file that does not fit.
    """
    kind, path = _kind(given)
    try:
        found = _READERS[kind](path)
    except OSError as err:
        raise CorpusError(f"{path}: cannot be read ({err.strerror or err})") from err
    if not found:
        raise CorpusError(f"{path}: nothing in it to score on")
    return found


def read_all(given: str | Path | Sequence[str | Path] | None) -> list[OwnSet]:
    """Read one labelled file or several; raises ConfigError where two would be reported under one name."""
    every = [] if given is None else [given] if isinstance(given, (str, Path)) else list(given)
    sets = [one for each in every for one in read_own(each)]
    names = [one.name for one in sets]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two sets are called {double}; scores go by the name of the file, so rename one")
    return sets


def _kind(given: str | Path) -> tuple[str, str]:
    text = str(given)
    kind, colon, rest = text.partition(":")
    if colon and kind in _READERS:
        return kind, rest
    path = local_path(given)
    if path.is_dir():
        return (RETRIEVAL if any((path / f"{QUERIES}{end}").exists() for end in ("", ".gz")) else "sts"), text
    if not path.is_file():
        if colon and len(kind) > 1 and kind.isalpha():
            raise ConfigError(f"{text}: {kind} is no kind of labelled file; those are {', '.join(_READERS)}")
        raise CorpusError(f"{text}: no such file or folder of labelled texts")
    if kind_by_name(path) in _GRADED and _is_graded(path):
        return "sts", text
    raise ConfigError(
        f"{text}: cannot be told what it is; say it as KIND:FILE, where KIND is one of {', '.join(_READERS)}"
    )


def _is_graded(path: Path) -> bool:
    """Tell whether a row has a number and two texts, or the names of such columns above."""
    rows = read_table(path, (TAB,)).rows[:5]
    if not rows:
        return False
    names = {cell.strip().lower() for cell in rows[0].cells}
    if "score" in names and len(names) >= 3:
        return True
    return all(len(row.cells) == 3 and sum(map(is_number, row.cells)) == 1 for row in rows)


def graded_set(kind: str, data: GradedPairs) -> OwnSet:
    """Return graded pairs as a set whose items are cosines."""
    name = f"{kind}:{data.name}"
    return OwnSet(name, "Spearman", len(data), lambda e, p: pair_cosines(e, [data], p)[data.name], tuple(data.score))


def _sts(path: str) -> list[OwnSet]:
    home = local_path(path)
    if home.is_dir():
        return [graded_set("sts", pairs) for pairs in read_tasks(path, folder_tasks(path))]
    if not home.is_file():
        raise CorpusError(f"{path}: no such file or folder of graded pairs")
    return [graded_set("sts", read_pairs(home, score_column=_LAST.get(kind_by_name(home))))]


def _lexical(path: str) -> list[OwnSet]:
    return [graded_set("lexical", read_word_pairs(path))]


def _bli(path: str) -> list[OwnSet]:
    data = read_lexicon(path)
    return [OwnSet(f"bli:{data.name}", "MRR", len(data.translations), lambda e, p: lexicon_scores(e, data, p))]


def _qnli(path: str) -> list[OwnSet]:
    data: QuestionPairs = read_qnli(path)
    answers = tuple(data.answers)
    return [OwnSet(f"qnli:{data.name}", "AUC", len(answers), lambda e, p: answer_cosines(e, data, p), answers=answers)]


def _entities(path: str) -> list[OwnSet]:
    names, comma, mentions = path.partition(",")
    if not comma:
        raise ConfigError(f"entities:{path}: must be two files with a comma between, entities:NAMES,MENTIONS")
    data = read_linking(names, mentions)
    return [OwnSet(f"entities:{data.name}", "accuracy@1", len(data.mentions), lambda e, p: linking_scores(e, data, p))]


def _queries(data: QuerySet) -> OwnSet:
    about = data.about()["queries"]
    assert isinstance(about, int)
    return OwnSet(data.name, _MEASURES[data.measure], about, data.main_scores)


_READERS: dict[str, Callable[[str], list[OwnSet]]] = {
    "sts": _sts,
    "lexical": _lexical,
    "bli": _bli,
    "qnli": _qnli,
    "entities": _entities,
    RETRIEVAL: lambda path: [_queries(QuerySet(RETRIEVAL, read_retrieval(path)))],
    SEARCH: lambda path: [_queries(QuerySet(SEARCH, read_search(path)))],
    KNN: lambda path: [_queries(QuerySet(KNN, read_labelled(path)))],
}
KINDS = tuple(_READERS)
