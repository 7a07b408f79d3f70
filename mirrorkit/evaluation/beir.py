"""A folder in the layout of BEIR: `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv` or `qrels.tsv`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.evaluation.search import SearchScore, SearchSet, score_search
from mirrorkit.evaluation.tables import SPACE, json_lines, read_table
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.text.dialect import TAB

log = logging.getLogger(__name__)

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels"
USUAL = "test"  # the split that scores are quoted of


def evaluate_retrieval(
    encoder: TextEncoder, folder: str | Path, split: str | None = None, progress: Progress | None = None
) -> SearchScore:
    """Score `encoder` on a folder in BEIR's layout: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv or qrels.tsv.

    Of several splits the one called `split` is taken, by default `test`. Raises CorpusError where there is nothing to
    score and for a row that does not fit, with its file and line, ConfigError for a split that is not there.

    >>> from mirrorkit import SentenceEncoder, evaluate_retrieval
    >>> score = evaluate_retrieval(SentenceEncoder.load("tiny"), "pets")
    >>> score.kind, score.queries, score.documents
    ('judged', 1, 2)
    """
    return score_search(encoder, read_retrieval(folder, split), progress)


def read_retrieval(folder: str | Path, split: str | None = None) -> SearchSet:
    """Read a folder in the layout of BEIR (Thakur et al. 2021, arXiv:2104.08663).

    corpus.jsonl    {"_id": "d1", "title": "Cats", "text": "Cats sleep most of the day."}   the title may be missing
    queries.jsonl   {"_id": "q1", "text": "how long do cats sleep"}
    qrels/test.tsv  query-id<TAB>corpus-id<TAB>score   with or without that header; a score of 0 is not right

    A document goes into the encoder as title, a space, and text. Of several splits the one called `split` is taken, by
    default `test`. Left out, counted and logged are documents without text and judgements on queries that are not
    there; a judged document that is not there counts as not found. Raises CorpusError where there is nothing to score,
    for an id that appears twice and for a row that does not fit, with its file and line.
    """
    home = local_path(folder)
    if not home.is_dir():
        raise CorpusError(f"{folder}: no such folder of a retrieval set")
    judged = _qrels(_qrels_file(home, split))
    texts = _corpus(home / CORPUS)
    asked = _queries(home / QUERIES)
    queries = {query: asked[query] for query in judged if query in asked}
    if not queries:
        raise CorpusError(f"{home}: none of the {len(judged)} judged queries is in {QUERIES}")
    relevant = {query: judged[query] for query in queries}
    absent = {one for grades in relevant.values() for one in grades if one not in texts.documents}
    if not any(one in texts.documents for grades in relevant.values() for one in grades):
        raise CorpusError(f"{home}: none of the {len(absent)} documents that are judged right is in {CORPUS}")
    _say(home, len(judged) - len(queries), f"judged queries are not in {QUERIES} and are left out")
    _say(home, len(absent), f"documents judged right are not in {CORPUS}, or blank there, and count as not found")
    _say(home, texts.blank, f"documents of {CORPUS} have no text and are left out")
    itself = {query: query for query, text in queries.items() if texts.bodies.get(query) == text.strip()}
    return SearchSet(home.resolve().name, queries, texts.documents, relevant, itself, outside=len(absent))


def _say(home: Path, count: int, what: str) -> None:
    if count:
        log.warning("%s: %d %s", home, count, what)


@dataclass
class _Corpus:
    documents: dict[str, str] = field(default_factory=dict)  # id -> title and text
    bodies: dict[str, str] = field(default_factory=dict)  # id -> text
    blank: int = 0


def _corpus(file: Path) -> _Corpus:
    found = _Corpus()
    blank = set()
    for line, row in json_lines(file):
        one = _id(file, line, row)
        if one in found.documents or one in blank:
            raise CorpusError(f"{file}, line {line}: the id {one!r} appears twice")
        title, text = (_text(file, line, row, key) for key in ("title", "text"))
        if not title and not text:
            blank.add(one)
            continue
        found.documents[one] = f"{title} {text}".strip()
        found.bodies[one] = text
    if not found.documents:
        what = f"none of its {len(blank)} documents has text" if blank else "no documents in it"
        raise CorpusError(f"{file}: {what}")
    found.blank = len(blank)
    return found


def _queries(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line, row in json_lines(file):
        one = _id(file, line, row)
        if one in found:
            raise CorpusError(f"{file}, line {line}: the id {one!r} appears twice")
        found[one] = _text(file, line, row, "text")
        if not found[one]:
            raise CorpusError(f"{file}, line {line}: the query {one!r} has no text")
    return found


def _id(file: Path, line: int, row: dict[str, Any]) -> str:
    one = row.get("_id")
    if not isinstance(one, (str, int)) or isinstance(one, bool) or not str(one):
        raise CorpusError(f"{file}, line {line}: _id must be a string, is {one!r}")
    return str(one)


def _text(file: Path, line: int, row: dict[str, Any], key: str) -> str:
    text = row.get(key)
    if text is not None and not isinstance(text, str):
        raise CorpusError(f"{file}, line {line}: {key} must be a string, is {type(text).__name__}")
    return (text or "").strip()


def _qrels_file(home: Path, split: str | None) -> Path:
    """Return the file of the split; raises CorpusError for a folder without any, ConfigError without this one."""
    files = {file.stem: file for file in sorted((home / QRELS).glob("*.tsv"))}
    alone = home / f"{QRELS}.tsv"
    if not files and not alone.is_file():
        raise CorpusError(
            f"{home}: neither {QRELS}/SPLIT.tsv nor {alone.name} in it; a retrieval set is in BEIR's layout"
        )
    if not files:
        if split is not None:
            raise ConfigError(f"{home}: no split {split!r}, there is only {alone.name}")
        return alone
    if split is None and len(files) == 1:
        return next(iter(files.values()))
    chosen = split or USUAL
    if chosen not in files:
        raise ConfigError(f"{home}: no split {chosen!r}, there are {', '.join(files)}")
    return files[chosen]


def _qrels(file: Path) -> dict[str, dict[str, int]]:
    """Return query id -> document id -> grade, of grades above 0."""
    table = read_table(file, (TAB, SPACE))
    rows = table.rows
    if rows and len(rows[0].cells) == 3 and rows[0].cells[2].strip().lower() in ("score", "relevance", "label"):
        rows = rows[1:]
    judged: dict[str, dict[str, int]] = {}
    seen: set[tuple[str, str]] = set()
    for row in rows:
        table.check_width(row, 3)
        query, document = table.text(row, 0, "query id"), table.text(row, 1, "document id")
        grade = table.number(row, 2)
        if grade != int(grade):
            raise table.fault(row, f"the score {row.cells[2]!r} is not a whole number")
        if (query, document) in seen:
            raise table.fault(row, f"the query {query!r} and the document {document!r} are judged twice")
        seen.add((query, document))
        if grade > 0:
            judged.setdefault(query, {})[document] = int(grade)
    if not judged:
        raise CorpusError(f"{file}: no query with a right document in its {len(rows)} rows")
    return judged
