"""Word similarity: Spearman correlation of cosine with human scores over pairs of words."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from mirrorkit.evaluation.pairs import SCORE_NAMES, GradedPairs
from mirrorkit.evaluation.tables import SPACE, Row, Table, is_number, read_table
from mirrorkit.text.dialect import COMMA, SEMICOLON, TAB

log = logging.getLogger(__name__)

_SCORES = SCORE_NAMES | {"simlex999", "human (mean)", "human mean"}
_WORD = re.compile(r"#?\s*(?:word|w)[ _-]?([12])", re.IGNORECASE)
_TAGGED = re.compile(r".+-[njv]")  # MEN's lemma form: sun-n, drive-v, red-j


def read_word_pairs(file: str | Path) -> GradedPairs:
    """Read two words and a score a row, as SimLex-999, SimVerb-3500, MEN, WS-353, RW and the like are published.

    Columns stand between tabs, commas, semicolons or spaces. A first row with no number behind the words is a header
    and must name the words (word1, word2) or the score. The words are the columns so named, else the first two. The
    score is the column so named, else the first one behind the words that holds a number in the first row; further
    columns are left alone. Where every word ends in -n, -v or -j, as in MEN's lemma form, that tag is cut off.

    Raises CorpusError naming file and line for a row that does not fit.
    """
    table = read_table(file, (TAB, COMMA, SEMICOLON, SPACE), "file of word pairs")
    pairs = GradedPairs(table.file.stem, [], [], [])
    header, rows = _header(table) if table.rows else ([], [])
    if not rows:
        return pairs.checked(str(table.file))
    left, right, score = _columns(table, header, rows[0])
    for row in rows:
        table.check_width(row, max(3, len(table.rows[0].cells)))
        pairs.append(table.number(row, score), table.text(row, left, "word"), table.text(row, right, "word"))
    return _untagged(pairs).checked(str(table.file))


def _header(table: Table) -> tuple[list[str], list[Row]]:
    """Return the lower-case names of the columns, none without a header, and the rows of data."""
    first = table.rows[0]
    names = [cell.strip().lower() for cell in first.cells]
    if len(names) < 3 or any(is_number(cell) for cell in first.cells[2:]):
        return [], table.rows
    if any(name in _SCORES or _WORD.fullmatch(name) for name in names):
        return names, table.rows[1:]
    return [], table.rows


def _columns(table: Table, header: list[str], first: Row) -> tuple[int, int, int]:
    """Return where the words and the score are."""
    table.check_width(first, max(3, len(table.rows[0].cells)))
    numbered = {match[1]: i for i, name in enumerate(header) if (match := _WORD.fullmatch(name))}
    left, right = (numbered["1"], numbered["2"]) if len(numbered) == 2 else (0, 1)
    named = [i for i, name in enumerate(header) if name in _SCORES]
    numeric = [i for i, cell in enumerate(first.cells) if i > max(left, right) and is_number(cell)]
    if named or numeric:
        score = (named or numeric)[0]
    elif len(first.cells) == 3:
        score = 2  # so that a bad score in a plain file is shown as what it is
    else:
        raise table.fault(first, "no number behind the two words")
    if header and header[score].startswith("annotator"):
        raise table.fault(table.rows[0], "has the scores of individual annotators; add a column `score` with the means")
    return left, right, score


def _untagged(pairs: GradedPairs) -> GradedPairs:
    words = [*pairs.left, *pairs.right]
    if not words or not all(_TAGGED.fullmatch(word) for word in words):
        return pairs
    log.info("%s: cut the part of speech (-n, -v, -j) off every word", pairs.name)
    return GradedPairs(pairs.name, pairs.score, [w[:-2] for w in pairs.left], [w[:-2] for w in pairs.right])
