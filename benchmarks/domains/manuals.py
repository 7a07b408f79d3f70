"""Manual pages: what NAME says of a page asks, DESCRIPTION answers, the section is the label."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.domains.entries import LONGEST_TEXT, Entry, fits, joined
from benchmarks.domains.packages import unpacked

HOME = Path("/usr/share/man")
SHORTEST = 220  # characters of a description
FEW = 100  # pages; a machine with fewer had them stripped, as images of Debian do
FAMILY = 150  # pages at most whose names begin with the same word: one tool can have ten thousand

_FILE = re.compile(r"(.+)\.([1-9])\w*(?:\.gz)?$")
_HEADING = re.compile(r"""^\.\s*S[Hh]\s+"?([^"\n]*)"?""", re.MULTILINE)
_WITH_TEXT = {"B", "I", "BR", "IR", "RB", "RI", "BI", "IB", "SM", "SB", "IP", "TP", "SS"}
_MDOC = {"Nm", "Nd", "Ar", "Fl", "Pa", "Xr", "Dq", "Sq", "Em", "Sy", "Li", "Va", "Fn", "Ft", "Ev", "Cm", "Ql", "Pq"}
_LAYOUT = {"IP", "TP", "SS"}  # macros whose arguments are layout
_ESCAPES = (
    (re.compile(r"\\f(?:\(..|\[[^]]*\]|.)|\\s[-+]?\d+|\\[hvwkzm]'[^']*'|\\[&|^/,%:c]|\\m\[[^]]*\]"), ""),
    (re.compile(r"\\\((?:lq|rq|dq)|\\\[(?:lq|rq|dq)\]|\\\*\((?:lq|rq|L\"|R\")"), '"'),
    (re.compile(r"\\\((?:aq|oq|cq)|\\\[(?:aq|oq|cq)\]|\\\*\(Aq"), "'"),
    (re.compile(r"\\(?:-|\(hy|\(en|\(em|\[en\]|\[em\])"), "-"),
    (re.compile(r"\\e|\\\\|\\\(rs"), "\\\\"),
    (re.compile(r"\\\(bu|\\\[bu\]"), ""),
    (re.compile(r"\\[ ~0]"), " "),
    (re.compile(r"\\(?:\*?\(..|\*?\[[^]]*\]|\*.|\".*$)"), ""),
)


def entries(home: Path | None = None) -> Iterator[Entry]:
    """Yield the pages under `home`: by default the machine's own, or Debian's `manpages` where those were stripped."""
    if home is None:
        home = HOME
        if sum(1 for _ in HOME.glob("man[1-9]/*")) < FEW:
            home = unpacked("manpages") / "usr/share/man"
    family: Counter[str] = Counter()
    for file in sorted(home.glob("man[1-9]/*")):
        named = _FILE.match(file.name)
        if not named or file.is_symlink():
            continue
        first = re.split(r"[-_.:]", named[1])[0].lower()
        if family[first] >= FAMILY:
            continue
        entry = _entry(file, named[2])
        if entry:
            family[first] += 1
            yield entry


def _entry(file: Path, section: str) -> Entry | None:
    try:
        raw = file.read_bytes()
        page = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
    parts = _HEADING.split(page)  # what stands before, then heading and text in turn
    found: dict[str, str] = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        found.setdefault(heading.strip().upper(), text)
    # The page's own name, before the dash, is left out: it stands in the description too and would give it away.
    title, text = _plain(found.get("NAME", "")).partition(" - ")[2], _plain(found.get("DESCRIPTION", ""))
    if not fits(title, text, SHORTEST):
        return None
    return Entry(f"{file.parent.name}/{file.name}", title, text[:LONGEST_TEXT], section)


def _plain(roff: str) -> str:
    """Return the running text of a part of a page."""
    lines = []
    literal = False
    for line in roff.split("\n"):
        if re.match(r"[.']\s*(?:nf|EX|Bd)\b", line):
            literal = True
        elif re.match(r"[.']\s*(?:fi|EE|Ed)\b", line):
            literal = False
        elif not literal:
            lines.append(_line(line))
    return joined(" ".join(lines))


def _line(line: str) -> str:
    if line.startswith((".", "'")):
        macro, _, rest = line[1:].strip().partition(" ")
        if macro in _MDOC:
            words = [word for word in rest.split() if word not in _MDOC]
            line = f"- {' '.join(words)}" if macro == "Nd" else " ".join(words)
        elif macro in _WITH_TEXT and macro not in _LAYOUT:
            line = re.sub(r'"([^"]*)"', r"\1", rest) if macro in ("B", "I", "SM", "SB") else _alternating(rest)
        else:
            return ""
    for pattern, kept in _ESCAPES:
        line = pattern.sub(kept, line)
    return line if re.search(r"\w", line) else ""


def _alternating(arguments: str) -> str:
    """Return the arguments of a macro that changes the font between them: they stand without spaces."""
    return "".join(quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', arguments))
