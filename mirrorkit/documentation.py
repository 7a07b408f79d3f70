"""Collect English sentences from the documentation inside the Python installation.

The demo needs about ten thousand sentences on any machine, with no download and no licence question: the
help topics, docstrings and long comments of the standard library. They are read as text; no module is
imported for them except `pydoc_data.topics`, which is only a dictionary of strings.
"""

from __future__ import annotations

import ast
import logging
import os
import random
import re
import sysconfig
import time
import warnings
from collections.abc import Iterator
from functools import cache
from inspect import cleandoc
from pathlib import Path

from mirrorkit.errors import MirrorkitError

logger = logging.getLogger(__name__)

MIN_SENTENCES = 100  # fewer cannot train anything: better an error than a demo of nothing
MIN_WORDS, MAX_WORDS = 4, 40

# Tests and vendored packages are not documentation; encodings is tables and lib2to3 a grammar.
SKIP_FOLDERS = frozenset(
    ("site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "encodings", "lib2to3")
)

# Words that English cannot do without and that lists of identifiers lack.
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a after all also an and any are as at be because been before but by can cannot could do does
        each either every few for from had has have he her his how i if in into is it its just many may
        might more most must my never no not of off on once one only or other our out over same she
        should since so some such than that the their them then there these they this those through to
        too under until up us very was we were what when where whether which while who whose why will
        with within without would you your""",
    )
)

# How a text falls into paragraphs and sentences.
BLANK = re.compile(r"\n\s*\n")
BULLET = re.compile(r"(?:[-*+o]|\(?(?:\d{1,2}|[a-z])[.)])\s+(?=\S)")
DOCTEST = re.compile(r"\s*(?:>>>|\.\.\. |\.\. |[$%] )")
RULE = re.compile(r"[\W_]*")
SENTENCE_END = re.compile(r"""(?<=[.!?])\s+(?=["'(]?[A-Z])|(?<=[.!?]["')])\s+(?=["'(]?[A-Z])""")
COMMENT_BLOCK = re.compile(r"(?:^[ \t]*#.*\n){3,}", re.MULTILINE)
COMMENT_MARK = re.compile(r"^[ \t]*#+", re.MULTILINE)

# Mark-up and what stays of it, in this order.
CLEANING: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), kept)
    for pattern, kept in (
        (r"[\u2018\u2019]", "'"),
        (r"[\u201c\u201d]", '"'),
        (r"\s*[\u2013\u2014]\s*|\s-{2,3}\s", " - "),
        (r":[a-z:+-]+:`(?:[^`<]*<)?[~!]?([^`>]+)>?`", r"\1"),  # :func:`len`
        (r"`([^`<]+?)\s*<[^`>]*>`_+|`([^`']+)`_+", r"\1\2"),  # `text <link>`_
        (r"`{1,2}([^`']+)(?:`{1,2}|'{1,2}(?!\w))", r"\1"),  # ``code``, `code` and the old `code'
        (r"(?<![\w*])(\*{1,2})(?=[^\s*])([^*]{1,60}?)(?<=[^\s*])\1(?![\w*])", r"\2"),  # *emph*
        (r"""(?<![\w"'])["']{1,2}([^\s"']+?)["']{1,2}(?![\w"'])""", r"\1"),  # "token" in the help topics
        (r"(?<=\w)\(\)", ""),  # calls keep their name
        (r"\s?\[(?:\d+|#\w*|\*)\]_?", ""),  # footnotes
        (r"\be\.g\.,?", "for example,"),  # no stop inside a sentence may look like its end
        (r"\bi\.e\.,?", "that is,"),
        (r"\betc\.(?=\s+[a-z]|[,;)])", "etc"),
        (r"(?:New|Added|Changed|Deprecated|Removed) (?:in|since) (?:Python )?version [\d.]+(?:: )?", ""),
        (r"\s+", " "),
    )
)
LABEL = re.compile(r"^(?:\w[\w.,*()=/-]* ){0,2}\w[\w.,*()=/-]*(?: ?:| -) (?=\S)")  # "name: what it is"

# What a sentence must look like, word by word, and what it must not hold.
PLAIN_WORD = re.compile(r"""["'(]*(?:[A-Za-z]+(?:['/-][A-Za-z]+)*|\d+(?:[.,:]\d+)*%?)["')]*[,.;:!?]*["')]*|-""")
NOT_PROSE = re.compile(
    r"[`{}<>=|\\^~$@#*+\[\]_]|[^ -~]|\.{2}|::|//|''|\w\(|\(\)|\s[.,;:!?)]|\w,\w"  # signs of code and tables
    r"|[a-z][A-Z]|[a-z]\.\w|\. [a-z]"  # camelCase, dotted.names, a sentence glued to a fragment
    r"|XXX|TODO|FIXME|(?:\b[A-Z]{2,} ){3}"
)
LEGAL = re.compile(r"copyright|licen[sc]|warrant|liabilit|damages|all rights|permission to", re.IGNORECASE)


def collect_sentences(limit: int = 10_000, seed: int = 0) -> list[str]:
    """Return up to `limit` distinct English sentences from this Python's own documentation.

    They stand in the order of the sorted source files; where there are more than `limit`, `seed` picks which
    stay. Every Python version is documented in its own words, so only the same version repeats a list.

    Raises:
        MirrorkitError: if `limit` is not positive, or the installation carries next to no documentation.
    """
    if limit < 1:
        raise MirrorkitError(f"limit must be at least 1, got {limit}")
    root = Path(sysconfig.get_path("stdlib"))
    sentences = list(_all_sentences(root))
    if len(sentences) < MIN_SENTENCES:
        raise MirrorkitError(
            f"found {len(sentences)} sentences in the standard library under {root}, need {MIN_SENTENCES}: "
            "this Python came without its source files; give a text file of your own instead"
        )
    if len(sentences) <= limit:
        return sentences
    kept = sorted(random.Random(seed).sample(range(len(sentences)), limit))
    return [sentences[i] for i in kept]


@cache
def _all_sentences(root: Path) -> tuple[str, ...]:
    start = time.perf_counter()
    found: dict[str, str] = {}  # letters alone, so that spacing and case make no second sentence
    for text in _documentation(root):
        for sentence in _sentences(text):
            found.setdefault(re.sub(r"\W+", " ", sentence.lower()), sentence)
    logger.info("found %d sentences under %s in %.1f s", len(found), root, time.perf_counter() - start)
    return tuple(found.values())


def _documentation(root: Path) -> Iterator[str]:
    """Yield every help topic, docstring and long comment, in an order that is the same on every machine."""
    yield from _topics()
    for path in _source_files(root):
        try:
            source = path.read_bytes()
        except OSError as err:
            logger.debug("skipping %s: %s", path, err)
            continue
        yield from _docstrings(source, path)
        yield from _comments(source)


def _topics() -> Iterator[str]:
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some Linux distributions leave it out
        logger.info("this Python has no pydoc_data.topics; docstrings only")
        return
    for name in sorted(topics):
        yield topics[name]


def _source_files(root: Path) -> list[Path]:
    files: list[Path] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in SKIP_FOLDERS]
        files += [Path(folder, name) for name in names if name.endswith(".py") and not name.startswith("_sysconfig")]
    return sorted(files, key=lambda path: path.relative_to(root).parts)


def _docstrings(source: bytes, path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old "\d" in somebody's module is not our news
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as err:
        logger.debug("skipping the docstrings of %s: %s", path, err)
        return
    pending: list[ast.stmt | ast.Module] = [tree]
    while pending:  # only bodies can hold docstrings; ast.walk would visit every expression too
        node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring
        pending.extend(reversed(getattr(node, "body", [])))


def _comments(source: bytes) -> Iterator[str]:
    """Yield the comments of three lines or more; a pattern, as `tokenize` takes ten times as long."""
    for block in COMMENT_BLOCK.findall(source.decode("utf-8", errors="replace")):
        yield cleandoc("\n" + COMMENT_MARK.sub("", block))


def _sentences(text: str) -> Iterator[str]:
    for paragraph in _paragraphs(text):
        prose = paragraph
        for pattern, kept in CLEANING:
            prose = pattern.sub(kept, prose)
        for candidate in SENTENCE_END.split(prose.strip()):
            sentence = LABEL.sub("", candidate)
            if _is_english(sentence):
                yield sentence


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the running text, one string per paragraph or list item, without literal blocks and doctests."""
    literal: int | None = None  # the indentation of a paragraph that ended in "::"
    for block in BLANK.split(text.expandtabs()):
        lines = block.strip("\n").splitlines()
        if not lines or (literal is not None and _indent(lines[0]) > literal):
            continue
        literal = _indent(lines[-1]) if block.rstrip().endswith("::") else None
        yield from _items(lines)


def _items(lines: list[str]) -> Iterator[str]:
    """Join the lines of one block; a bullet, a rule, a dedent or an indented body begins the next item."""
    item: list[str] = []
    start = last = 0  # indentation of the item's first line and of its latest
    for line in lines:
        if DOCTEST.match(line):  # the output stands below it, to the end of the block
            break
        indent, words = _indent(line), line.strip()
        bullet, rule = BULLET.match(words), RULE.fullmatch(words)
        body = indent > last and bool(item) and _ends_item(item[-1])
        if item and (bullet or rule or body or indent < start):
            yield " ".join(item)
            item = []
        if rule:
            continue
        if not item:
            start = indent
        item.append(words[bullet.end() :] if bullet else words)
        last = indent
    yield " ".join(item)


def _ends_item(line: str) -> bool:
    """Tell a term, a heading or a whole sentence from a line that runs on into the next."""
    return len(line.split()) <= 3 or line.endswith((".", ":"))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_english(sentence: str) -> bool:
    words = sentence.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or not sentence[0].isupper():
        return False
    if not re.search(r"[.!?][\"')]*$", sentence) or NOT_PROSE.search(sentence) or LEGAL.search(sentence):
        return False
    if sentence.count("(") != sentence.count(")") or sentence.count('"') % 2:
        return False
    odd = sum(not PLAIN_WORD.fullmatch(word) for word in words)
    known = sum(word.strip("\"'(),.:;").lower() in FUNCTION_WORDS for word in words)
    return odd * 10 <= len(words) and known * 6 >= len(words)
