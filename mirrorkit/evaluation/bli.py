"""Bilingual lexicon induction: does the nearest word of the other language translate this one?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.correlation import Array
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation.pairs import TextEncoder, encode_strings
from mirrorkit.evaluation.ranking import Matrix, Ranks, blocks, rank
from mirrorkit.evaluation.tables import SPACE, read_table
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.text.dialect import TAB
from mirrorkit.text.file_rows import file_lines

NEIGHBOURS = 10  # k of CSLS in Lample et al. 2018


@dataclass(frozen=True)
class Lexicon:
    """Source words, the right translations of each, and the words to choose among."""

    name: str
    translations: dict[str, list[str]]
    candidates: list[str]


@dataclass(frozen=True)
class Retrieval:
    """Times 100, over distinct source words."""

    accuracy_at_1: float  # one of the right translations comes first
    mrr: float  # mean of 1 / rank of the first right translation


@dataclass(frozen=True)
class BliScore:
    cosine: Retrieval
    csls: Retrieval
    sources: int
    candidates: int


def read_lexicon(file: str | Path, candidates: str | Path | None = None) -> Lexicon:
    """Read `source<TAB>translation` a row, without a header: also between spaces (MUSE), and commas in a .csv.

    A source on several rows has several right translations. To choose among are the distinct translations of the
    file and the words of `candidates`, a file of one a line. Raises CorpusError naming file and line for a bad row.
    """
    table = read_table(file, (TAB, SPACE), "file of translations")
    translations: dict[str, dict[str, None]] = {}
    for row in table.rows:
        table.check_width(row, 2)
        source, target = table.text(row, 0, "source word"), table.text(row, 1, "translation")
        translations.setdefault(source, {})[target] = None
    if not translations:
        raise CorpusError(f"{table.file}: no translations in it")
    targets = {target: None for right in translations.values() for target in right}
    if candidates is not None:
        targets |= dict.fromkeys(word for line in file_lines(local_path(candidates)) if (word := line.strip()))
    return Lexicon(table.file.stem, {source: list(right) for source, right in translations.items()}, list(targets))


def score_lexicon(
    encoder: TextEncoder, lexicon: Lexicon, progress: Progress | None = None, *, neighbours: int = NEIGHBOURS
) -> BliScore:
    """Rank all candidates for every source word, by cosine and by CSLS (Lample et al. 2018, arXiv:1710.04087).

    CSLS is twice the cosine less the mean cosine of either word with its `neighbours` nearest of the other language;
    those of a candidate are looked for among the source words of the lexicon. Of a smaller vocabulary all are near.
    """
    if neighbours < 1:
        raise ConfigError(f"neighbours {neighbours}: must be at least 1")
    vectors = encode_strings(encoder, [*lexicon.translations, *lexicon.candidates], progress)
    sources, targets = vectors.rows(list(lexicon.translations)), vectors.rows(lexicon.candidates)
    place = {word: i for i, word in enumerate(lexicon.candidates)}
    right = [np.array([place[word] for word in words]) for words in lexicon.translations.values()]
    crowding = _mean_of_nearest(targets, sources, neighbours)  # [candidates]

    def cosine(part: slice) -> Matrix:
        return sources[part] @ targets.T

    def csls(part: slice) -> Matrix:
        cosines = cosine(part)
        return 2 * cosines - _top_mean(cosines, neighbours)[:, None] - crowding

    return BliScore(
        cosine=_retrieval(rank(cosine, right, len(targets), at=(1,))),
        csls=_retrieval(rank(csls, right, len(targets), at=(1,))),
        sources=len(sources),
        candidates=len(targets),
    )


def lexicon_scores(encoder: TextEncoder, lexicon: Lexicon, progress: Progress | None = None) -> Array:
    """Return the reciprocal rank of the best placed right translation of every source word by cosine, [sources]."""
    vectors = encode_strings(encoder, [*lexicon.translations, *lexicon.candidates], progress)
    sources, targets = vectors.rows(list(lexicon.translations)), vectors.rows(lexicon.candidates)
    place = {word: i for i, word in enumerate(lexicon.candidates)}
    right = [np.array([place[word] for word in words]) for words in lexicon.translations.values()]
    return rank(lambda part: sources[part] @ targets.T, right, len(targets), at=(1,)).reciprocal


def _retrieval(ranks: Ranks) -> Retrieval:
    return Retrieval(accuracy_at_1=ranks.accuracy(1), mrr=ranks.mrr)


def _mean_of_nearest(rows: Matrix, others: Matrix, count: int) -> npt.NDArray[np.float64]:
    parts = [_top_mean(rows[part] @ others.T, count) for part in blocks(len(rows), len(others))]
    return np.concatenate(parts)


def _top_mean(cosines: Matrix, count: int) -> npt.NDArray[np.float64]:
    """Return the mean of the `count` greatest of each row."""
    first = max(0, cosines.shape[1] - count)
    means: npt.NDArray[np.float64] = np.partition(cosines, first, axis=1)[:, first:].mean(axis=1)
    return means
