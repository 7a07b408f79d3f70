"""Files of graded pairs: three columns, or as the STS Benchmark, GLUE and SICK are published."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.evaluation.pairs import SCORE_NAMES, GradedPairs
from mirrorkit.evaluation.tables import Row, Table, is_number, read_table
from mirrorkit.text.dialect import TAB

log = logging.getLogger(__name__)

_SCORES = SCORE_NAMES | {"relatedness_score", "gold_score"}
_SENTENCE = re.compile(r"(?:sentence|sent|text|string|s)[ _-]?([012ab])", re.IGNORECASE)
_SPLIT, _TEST = "semeval_set", "TEST"  # of SICK, whose one file holds all splits
# Of the STS Benchmark: genre, file, year, number, score, two sentences, and in some rows where they are from.
_BENCHMARK = (4, 5, 6)


@dataclass(frozen=True)
class _Places:
    """Where things stand in a row."""

    score: int
    left: int
    right: int
    width: int  # columns that a row has, or at the least
    exact: bool = True
    split: int | None = None


def read_pairs(file: Path, *, score_column: int | None = None) -> GradedPairs:
    """Read rows of a score and two strings, between tabs or, in a .csv, commas.

    With a header that names them (score; sentence1, sentence_A, text_1), as in GLUE and SICK, columns are taken by
    name; of SICK the test rows. Rows of seven columns and more without a header are those of the STS Benchmark. Rows of
    three have the score in `score_column`, 0-based; None: in the first or the last, where the first row holds a number.
    Rows without a score are left out, counted and logged. Raises CorpusError naming file and line for a row that does
    not fit; between tabs, a lone quotation mark is part of the text.
    """
    table = read_table(file, (TAB,))
    pairs = GradedPairs(file.stem, [], [], [])
    if not table.rows:
        return pairs.checked(str(file))
    places, rows = _places(table, score_column)
    ungraded = 0
    for row in rows:
        if len(row.cells) < places.width or places.exact:
            table.check_width(row, places.width)
        if places.split is not None and row.cells[places.split].strip().upper() != _TEST:
            continue
        if not row.cells[places.score].strip() and row.cells[places.left].strip():
            ungraded += 1
            continue
        pairs.append(table.number(row, places.score), row.cells[places.left], row.cells[places.right])
    if ungraded:
        log.warning("%s: %d rows have no score and are left out", file, ungraded)
    return pairs.checked(str(file))


def _places(table: Table, score_column: int | None) -> tuple[_Places, list[Row]]:
    """Return where things stand, and the rows below the header."""
    first = table.rows[0].cells
    names = [cell.strip().lower() for cell in first]
    sides = [i for i, name in enumerate(names) if _SENTENCE.fullmatch(name)]
    scores = [i for i, name in enumerate(names) if name in _SCORES]
    if len(sides) == 2 and scores:
        split = names.index(_SPLIT) if _SPLIT in names else None
        return _Places(scores[0], sides[0], sides[1], len(names), split=split), table.rows[1:]
    if len(first) > _BENCHMARK[2] and is_number(first[_BENCHMARK[0]]):
        return _Places(*_BENCHMARK, width=7, exact=False), table.rows
    score = score_column
    if score is None:
        score = 2 if len(first) == 3 and not is_number(first[0]) and (is_number(first[2]) or names[2] in _SCORES) else 0
    left, right = (i for i in range(3) if i != score)
    header = len(first) == 3 and names[score] in _SCORES
    return _Places(score, left, right, 3), table.rows[1:] if header else table.rows
