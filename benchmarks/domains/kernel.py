"""The Linux kernel's documentation: the heading of a section asks, its running text answers, the part is the label."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.domains.entries import LONGEST_TEXT, Entry, fits, joined
from benchmarks.domains.packages import newest, unpacked
from mirrorkit.errors import ConfigError

SHORTEST = 220  # characters of a section
_SKIP = {"translations", "devicetree"}  # other languages; lists of fields
_RULE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_NUMBER = re.compile(r"^(?:\d+\.)*\d+[.):]?\s+")  # of a section
_BLOCK = re.compile(r"\s*\.\.(\s|$)")  # a directive or a comment
_ASIDE = re.compile(r"\s*(?:[|+]|:[\w -]+:\s|\S+\s*$)")  # a row of a table, a field, a line of one word
_INLINE = (
    (re.compile(r":[\w:+-]+:`([^`<]*?)\s*(?:<[^>`]*>)?`"), r"\1"),
    (re.compile(r"``([^`]*)``"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*(?:<[^>`]*>)?`_*"), r"\1"),
    (re.compile(r"\*{1,2}([^\s*][^*]*)\*{1,2}"), r"\1"),
)


def entries(home: Path | None = None) -> Iterator[Entry]:
    """Yield the sections of the .rst files under `home`, by default Debian's `linux-doc`, in the order of the files.

    A heading that several sections share (Overview, Usage) says nothing alone and is no query.
    """
    if home is None:
        package = newest("linux-doc")
        home = unpacked(package) / "usr/share/doc" / package / "Documentation"
    found = [entry for file in sorted(home.rglob("*.rst*")) for entry in _of_file(file, home)]
    if not found:
        raise ConfigError(f"{home}: no section of a .rst file in it; this is not the kernel's documentation")
    named = Counter(entry.title.lower() for entry in found)
    yield from (entry for entry in found if named[entry.title.lower()] == 1)


def _of_file(file: Path, home: Path) -> Iterator[Entry]:
    try:
        raw = file.read_bytes()
        lines = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8").expandtabs().splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return
    parts = file.relative_to(home).parts
    if parts[0] in _SKIP:
        return
    headings = [i for i in range(len(lines) - 1) if _is_heading(lines[i], lines[i + 1])]
    for start, end in pairwise([*headings, len(lines)]):
        title, text = (
            _plain(_NUMBER.sub("", lines[start].strip())),
            joined(_plain(" ".join(_running(lines[start + 2 : end])))),
        )
        if fits(title, text, SHORTEST) and " " in title:
            yield Entry(f"{'/'.join(parts)}:{start + 1}", title, text[:LONGEST_TEXT], parts[0])


def _is_heading(line: str, below: str) -> bool:
    words = line.rstrip()
    return bool(words.strip() and not _RULE.match(words) and _RULE.match(below) and len(below.rstrip()) >= len(words))


def _running(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of running text: no literal blocks, directives, tables, fields and rules."""
    inside: int | None = None  # indentation of what began a block that is left out
    for line in lines:
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        if inside is not None and (not words or indent > inside):
            continue
        inside = indent if _BLOCK.match(line) or words.endswith("::") else None
        if words and not _BLOCK.match(line) and not _RULE.match(words) and not _ASIDE.match(line):
            yield f"{words.removesuffix('::')}:" if words.endswith("::") else words


def _plain(text: str) -> str:
    for pattern, kept in _INLINE:
        text = pattern.sub(kept, text)
    return text
