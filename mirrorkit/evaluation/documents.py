"""A search set out of documents alone: title or first sentence finds the rest, or one half of a text the other."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.evaluation.search import SearchScore, SearchSet, score_search
from mirrorkit.evaluation.tables import FORMATS, read_rows
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.text.file_rows import file_lines
from mirrorkit.text.opened import kind_by_name

log = logging.getLogger(__name__)

TITLES = ("title", "headline", "subject", "name")  # columns, the first that is there counts
TEXTS = ("text", "body", "document", "content", "abstract")
PLAIN = (".txt", ".md", ".rst", ".text")
LONGEST = 100_000  # characters of a text that are kept; no encoder reads as many

_QUERY = (8, 250)  # characters; a shorter title asks for nothing, of a longer crop the rest is left out
_BODY = 40  # characters that a text needs to be found
_HEADING = 120  # characters that a first line may have to be a title
_MARKS = re.compile(r"^(?:#+\s+)?(.*?)\s*#*$")
# The end of a sentence: a stop and a space, or a full-width stop, which needs none.
_SENTENCE = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|(?<=[。！？])")


@dataclass(frozen=True)
class Document:
    title: str  # empty: it has none
    text: str  # without the title


def evaluate_search(encoder: TextEncoder, documents: str | Path, progress: Progress | None = None) -> SearchScore:
    """Score `encoder` on documents without labels: titles or first sentences must find the rest, or one half the other.

    `documents` is a .jsonl, .csv, .tsv, .parquet or text file, or a folder of such files. Raises CorpusError where
    there are not two documents that can be told apart.

    >>> from mirrorkit import SentenceEncoder, evaluate_search
    >>> score = evaluate_search(SentenceEncoder.load("tiny"), "handbook.jsonl")
    >>> score.kind, score.queries, score.documents
    ('title', 2, 2)
    """
    return score_search(encoder, read_search(documents), progress)


def read_search(source: str | Path) -> SearchSet:
    """Return the search set of a file or folder of documents."""
    path = local_path(source)
    return search_set(path.stem if path.is_file() else path.resolve().name, read_documents(source), str(source))


def read_documents(source: str | Path) -> list[Document]:
    """Read documents from a file, or from all files of a folder, those in folders inside it included.

    .jsonl .json .csv .tsv     a row is a document: the column `text` (body, document, content, abstract), or the only
    .parquet                   one, and `title` (headline, subject, name) where there is one
    .txt .md .rst              of a folder, a file is a document; a single file is parted at its blank lines, or where
                               it has none at every line
    A first line on its own above a blank one, of at most 120 characters, is a title. In a folder other files and those
    that cannot be read are left out and named in the log. Raises CorpusError where nothing is left.
    """
    path = local_path(source)
    if path.is_dir():
        found = list(_folder(path))
    elif not path.is_file():
        raise CorpusError(f"{source}: no such file or folder of documents")
    elif kind_by_name(path) in FORMATS:
        found = list(_rows(path))
    else:
        found = [_plain(part) for part in _parts(_text(path))]
    found = [document for document in found if document.text or document.title]
    if not found:
        raise CorpusError(f"{source}: no documents in it")
    return found


def _folder(folder: Path) -> Iterator[Document]:
    left_out = []
    for file in sorted(folder.rglob("*")):
        suffix = kind_by_name(file)
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        if suffix in FORMATS:
            yield from _rows(file)
        elif suffix in PLAIN:
            try:
                yield _plain(_text(file))
            except CorpusError as err:
                left_out.append(str(err))
        else:
            left_out.append(str(file))
    if left_out:
        log.warning("%s: %d files are not documents and are left out, such as %s", folder, len(left_out), left_out[0])


def _text(file: Path) -> str:
    return "\n".join(file_lines(file))


def _parts(text: str) -> list[str]:
    """Return what lies between blank lines, or the lines where none is blank."""
    parts = re.split(r"\n[ \t]*\n", text.strip())
    return parts if len(parts) > 1 else text.split("\n")


def _plain(text: str) -> Document:
    """Return a text with the title that stands above it, if one does."""
    first, _, rest = text.strip().partition("\n")
    alone = not rest.partition("\n")[0].strip()
    if rest.strip() and alone and len(first) <= _HEADING:
        match = _MARKS.match(first)
        return Document(_joined(match[1] if match else first), _joined(rest))
    return Document("", _joined(text))


def _joined(text: str) -> str:
    return " ".join(text[:LONGEST].split())


def _rows(file: Path) -> Iterator[Document]:
    for line, row in read_rows(file):
        names = {name.strip().lower(): name for name in row}
        text = next((names[name] for name in TEXTS if name in names), None)
        title = next((names[name] for name in TITLES if name in names), None)
        if text is None and len(row) == 1:
            text = next(iter(row))
        if text is None:
            raise CorpusError(
                f"{file}, row {line}: needs a column called {', '.join(TEXTS)}; there are {', '.join(row)}"
            )
        yield Document(_joined(row[title]) if title and title != text else "", _joined(row[text]))


def search_set(name: str, documents: Iterable[Document], source: str = "") -> SearchSet:
    """Make queries of documents: of the titles, else of the first sentences, else of crops.

    The first of these that at least half of the documents have is taken for all, and those that lack it are only
    searched. A crop is up to 250 characters of the half of a text that the searched half does not hold, cut at words.
    A query that several documents share has all of them for right answers; documents with the same text are one.
    Raises CorpusError where not two documents can be told apart.
    """
    every = list(documents)
    source = source or name
    ways = {"title": _by_title, "first sentence": _by_sentence, "crop": _by_crop}
    for kind, parted in ways.items():
        pairs = [parted(document) for document in every]
        if sum(pair is not None for pair in pairs) * 2 >= len(every) or kind == "crop":
            break
    queries: dict[str, dict[str, int]] = {}  # query -> ids of its documents
    ids: dict[str, str] = {}  # text -> id
    for document, pair in zip(every, pairs, strict=True):
        text = pair[1] if pair else f"{document.title} {document.text}".strip()
        one = ids.setdefault(text, f"d{len(ids) + 1:09d}")
        if pair:
            queries.setdefault(pair[0], {})[one] = 1
    if len(ids) < 2 or not queries:
        raise CorpusError(
            f"{source}: {len(ids)} different documents, of which {len(queries)} give a query; there must be two, and "
            f"one with a title, a second sentence, or {2 * _BODY} characters"
        )
    _say(source, len(every), len(ids), sum(pair is not None for pair in pairs), kind)
    asked = {f"q{number:09d}": (query, right) for number, (query, right) in enumerate(queries.items(), 1)}
    return SearchSet(
        name,
        queries={one: query for one, (query, _) in asked.items()},
        documents={one: text for text, one in ids.items()},
        relevant={one: right for one, (_, right) in asked.items()},
        kind=kind,
        main="mrr_at_10",
    )


def _say(source: str, documents: int, distinct: int, asking: int, kind: str) -> None:
    if documents > distinct:
        log.warning("%s: %d documents repeat the text of another and are left out", source, documents - distinct)
    if documents > asking:
        log.warning("%s: %d documents give no query (no %s) and are only searched", source, documents - asking, kind)


def _by_title(document: Document) -> tuple[str, str] | None:
    fits = len(document.title) >= _QUERY[0] and len(document.text) >= _BODY
    return (document.title, document.text) if fits else None


def _by_sentence(document: Document) -> tuple[str, str] | None:
    """Take the first sentence, with those after it while it is too short to ask for anything."""
    for end in _SENTENCE.finditer(document.text):
        query, rest = document.text[: end.start()].strip(), document.text[end.end() :].strip()
        if len(rest) < _BODY:
            return None
        if len(query) >= _QUERY[0]:
            return query, rest
    return None


def _by_crop(document: Document) -> tuple[str, str] | None:
    text = f"{document.title} {document.text}".strip()
    if len(text) < 2 * _BODY:
        return None
    middle = _cut(text, len(text) // 2)
    query = text[:middle].strip()
    if len(query) > _QUERY[1]:
        query = query[: _cut(query, _QUERY[1])].strip()
    return query, text[middle:].strip()


def _cut(text: str, at: int) -> int:
    """Return the last place before `at` where a word ends, or `at` in a script that puts no spaces between words."""
    space = text.rfind(" ", at // 2, at + 1)
    return space if space > 0 else at
