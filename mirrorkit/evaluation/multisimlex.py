"""Multi-SimLex (Vulić et al. 2020): one list of word pairs in many languages, scored in each by its own speakers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.evaluation.tables import Row, Table, read_table
from mirrorkit.paths import local_path
from mirrorkit.text.dialect import COMMA, TAB

TRANSLATION, SCORES = "translation.csv", "scores.csv"
_WORD = re.compile(r"(.+?)[\s_-]*(?:word)?[\s_-]*([12])", re.IGNORECASE)  # ENG 1, ENG word 1, ENG_1
_SCORE = re.compile(r"(.+?)(?:[\s_-]+(?:score|mean|average|avg))?", re.IGNORECASE)  # ENG, ENG score


def read_multisimlex(folder: str | Path, languages: Sequence[str] | None = None) -> list[GradedPairs]:
    """Read the languages asked for, by default all that have words and scores, from the published pair of files.

    `translation.csv` has the columns `ID`, then `ENG 1`, `ENG 2` and so on for every language; `scores.csv` has
    `ID`, then `ENG` and so on. Rows are joined by ID, or, where a file has no such column, by their order.

    Raises CorpusError for a language that is not there and for a row that does not fit.
    """
    home = local_path(folder)
    words, scores = (_Sheet(home / name) for name in (TRANSLATION, SCORES))
    sides: dict[str, dict[str, int]] = {}
    for match, column in words.columns(_WORD):
        sides.setdefault(match[1].upper(), {})[match[2]] = column
    scored = {match[1].upper(): column for match, column in scores.columns(_SCORE)}
    there = [language for language, side in sides.items() if len(side) == 2 and language in scored]
    wanted = [language.upper() for language in languages or there]
    if not there or (absent := [language for language in wanted if language not in there]):
        missing = ", ".join(absent) if there else "language"
        raise CorpusError(f"{folder}: no {missing} with words and scores (there: {', '.join(there) or 'none'})")
    joined = _join(words, scores)
    return [_language(words, scores, joined, name, sides[name], scored[name]) for name in wanted]


class _Sheet:
    """A file with a header."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise CorpusError(f"{file}: no such file; Multi-SimLex is a folder of {TRANSLATION} and {SCORES}")
        self.table: Table = read_table(file, (TAB, COMMA))
        if len(self.table.rows) < 2:
            raise CorpusError(f"{file}: no rows below a header")
        self.header = [cell.strip() for cell in self.table.rows[0].cells]
        self.rows = self.table.rows[1:]
        for row in self.rows:
            self.table.check_width(row, len(self.header))
        self._id = next((i for i, name in enumerate(self.header) if name.lower() == "id"), None)

    def columns(self, pattern: re.Pattern[str]) -> list[tuple[re.Match[str], int]]:
        """Return the columns, but for the ID, whose name fits."""
        named = ((pattern.fullmatch(name), i) for i, name in enumerate(self.header) if i != self._id)
        return [(match, i) for match, i in named if match]

    def by_id(self) -> dict[str, Row] | None:
        """Return the rows by their ID; None for a file without that column."""
        if self._id is None:
            return None
        rows: dict[str, Row] = {}
        for row in self.rows:
            key = self.table.text(row, self._id, "ID")
            if key in rows:
                raise self.table.fault(row, f"the ID {key!r} is already on line {rows[key].line}")
            rows[key] = row
        return rows


def _join(words: _Sheet, scores: _Sheet) -> list[tuple[Row, Row]]:
    left, right = words.by_id(), scores.by_id()
    if left is None or right is None:
        if len(words.rows) != len(scores.rows):
            raise CorpusError(
                f"{scores.table.file}: {len(scores.rows)} rows, {words.table.file.name} has {len(words.rows)}; "
                "without a column ID in both they must match"
            )
        return list(zip(words.rows, scores.rows, strict=True))
    for sheet, rows, other in ((words, left, right), (scores, right, left)):
        if lonely := next((key for key in rows if key not in other), None):
            raise sheet.table.fault(rows[lonely], f"the ID {lonely!r} is not in the other file")
    return [(row, right[key]) for key, row in left.items()]


def _language(
    words: _Sheet, scores: _Sheet, joined: list[tuple[Row, Row]], name: str, sides: dict[str, int], score: int
) -> GradedPairs:
    pairs = GradedPairs(f"multisimlex-{name}", [], [], [])
    for word_row, score_row in joined:
        left, right = (words.table.text(word_row, sides[side], f"{name} word") for side in ("1", "2"))
        pairs.append(scores.table.number(score_row, score), left, right)
    return pairs.checked(str(words.table.file))
