"""Make the documents that ship in mirrorkit/assets/documentation: docstrings of BSD- and PSF-licensed packages.

    pip install --no-deps --target SITE numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
        networkx==3.6.1 sympy==1.14.0 matplotlib==3.11.2
    python -m benchmarks.corpus --site SITE --stdlib LIB --out mirrorkit/assets/documentation

LIB is the standard library of Python 3.11.7 (default: that of this Python). Sources are read as text, in fixed order,
and never imported: the same releases give the same bytes. A document is a docstring: its first line is the title, which
is also the query of the search; the rest, without code, mark-up, examples and references, is the text.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import hashlib
import json
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from inspect import cleandoc
from pathlib import Path

from mirrorkit.training.duplicates import same_documents

PACKAGES = {  # on the index -> its folder
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "numpy": "numpy",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "sympy": "sympy",
}
DOCUMENTS, HELD_OUT = 3000, 500
SHORTEST, LONGEST = 220, 1500  # characters of a text
TITLE = (20, 120)  # characters
SKIPPED = {"tests", "test", "idle_test", "idlelib", "turtledemo", "lib2to3", "site-packages", "__pycache__"}
SKIPPED |= {"_vendor", "externals", "array_api_compat", "array_api_extra", "doc", "pydoc_data", "_build_utils"}
KEPT = {"", "parameters", "returns", "yields", "raises", "warns", "notes", "attributes", "other parameters"}

_HEADING = re.compile(r"^(\w[\w ]*)\n[-=~]{3,}[ ]*$", re.MULTILINE)
_FIELD = re.compile(r"^(\*{0,2}\w[\w, *]*?)\s*:(?:\s.*)?$")  # a parameter and its type
_MARKUP = tuple(
    (re.compile(pattern), kept)
    for pattern, kept in (
        (r":[a-zA-Z][\w:+-]*:`[~!]?([^`<]*?)(?:\s*<[^>]*>)?`", r"\1"),  # :func:`len`
        (r"`([^`<]+?)\s*<[^>`]*>`_{0,2}", r"\1"),  # `text <link>`_
        (r"``?([^`]*)``?_{0,2}", r"\1"),
        (r"(?<![\w*])\*{1,2}([^\s*](?:[^*\n]*[^\s*])?)\*{1,2}(?![\w*])", r"\1"),
        (r"\s*\[(?:\d+|#\w*)\]_?|\|(\w+)\|", r"\1"),
        (r"\$", ""),
        (r"\s+", " "),
        (r"\s+([.,;])(?=\s|$)", r"\1"),
    )
)
_SENTENCE = re.compile(r"(?<=[.!?:])\s")
_WORD = re.compile(r"[A-Za-z]{2,}|\b[aAI]\b")
_LEGAL = re.compile(r"copyright|all rights reserved|warrant", re.IGNORECASE)


@dataclass(frozen=True)
class Document:
    id: str  # dotted name of what is documented
    title: str
    text: str
    source: str  # package and version


def main() -> int:
    """Read the packages, choose, and write the two files and the notices."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__, formatter_class=plain)
    parser.add_argument("--site", type=Path, required=True, help="folder that the packages are installed in")
    parser.add_argument("--stdlib", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = list(documented(args.stdlib, f"Python {_python_version(args.stdlib)}", ""))
    for name, folder in PACKAGES.items():
        version = _version(_about(args.site, name))
        found += documented(args.site / folder, f"{name} {version}", folder)
    train, held_out = chosen(found)
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / "documents.jsonl.gz", train)
    write(args.out / "held-out.jsonl.gz", held_out)
    (args.out / "NOTICE.txt").write_text(notices(args.site, args.stdlib), encoding="utf-8")
    for source in sorted({document.source for document in found}):
        counts = [sum(document.source == source for document in some) for some in (found, train, held_out)]
        print(f"{source:22} {counts[0]:6} documents, {counts[1]:5} to train on, {counts[2]:4} held out")
    return 0


def documented(folder: Path, source: str, prefix: str) -> Iterator[Document]:
    """Yield the documents of the public modules, classes and functions below `folder`, sorted by file."""
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).parts):
        parts = path.relative_to(folder).with_suffix("").parts
        if SKIPPED & set(parts) or (not prefix and parts[0].startswith("_")):
            continue
        module = ".".join(filter(None, (prefix, *(part for part in parts if part != "__init__"))))
        for name, docstring in docstrings(path):
            if document := as_document(f"{module}.{name}".strip("."), docstring, source):
                yield document


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name in its module, and the docstring, of what is public in a source file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old "\d" in somebody's module is not our news
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    pending: list[tuple[str, ast.stmt | ast.Module]] = [("", tree)]
    while pending:
        name, node = pending.pop(0)
        if docstring := ast.get_docstring(node, clean=False):  # type: ignore[arg-type]
            yield name, cleandoc(docstring)
        inside = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
        named = (inner for inner in inside if isinstance(inner, ast.ClassDef | ast.FunctionDef))
        pending += [(f"{name}.{inner.name}".strip("."), inner) for inner in named if not inner.name.startswith("_")]


def as_document(name: str, docstring: str, source: str) -> Document | None:
    """Return the document, or None where the docstring has no summary or not enough prose."""
    head, _, rest = docstring.partition("\n\n")
    title = plain(" ".join(head.split()))
    text = shortened(plain(" ".join(prose(rest))))
    fits = TITLE[0] <= len(title) <= TITLE[1] and title[0].isupper() and title.endswith(".") and len(text) >= SHORTEST
    if not fits or not _is_prose(title) or not _is_prose(text) or _LEGAL.search(text):
        return None
    return Document(name, title, text, source)


def prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of the sections that are prose, without code, tables and directives."""
    parts = _HEADING.split(text)
    for heading, section in zip(["", *parts[1::2]], parts[::2], strict=True):
        if heading.strip().lower() in KEPT:
            yield from _paragraphs(section, fields=bool(heading) and heading.strip().lower() != "notes")


def _paragraphs(section: str, *, fields: bool) -> Iterator[str]:
    literal: int | None = None  # the indentation of a paragraph that ended in "::"
    for block in re.split(r"\n[ \t]*\n", section.expandtabs()):
        lines = block.strip("\n").splitlines()
        if not lines or not lines[0].strip():
            continue
        indent = len(lines[0]) - len(lines[0].lstrip())
        first = lines[0].strip()
        if (literal is not None and indent > literal) or first.startswith((">>>", "...", "+-", "|", "===", "---")):
            continue
        literal = None
        if first.startswith(".. "):
            literal = indent
            continue
        if lines[-1].rstrip().endswith("::"):
            literal = len(lines[-1]) - len(lines[-1].lstrip())
        said = [_field(line) if fields else line.strip() for line in lines]
        yield " ".join(said).replace("::", ":")


def _field(line: str) -> str:
    found = None if line[:1].isspace() else _FIELD.match(line)
    return f"{found[1]}:" if found else line.strip()


def plain(text: str) -> str:
    """Return a text without mark-up, in one line."""
    for pattern, kept in _MARKUP:
        text = pattern.sub(kept, text)
    return text.strip()


def shortened(text: str) -> str:
    """Return a text cut behind its last whole sentence that still has room."""
    if len(text) <= LONGEST:
        return text
    ends = [found.start() for found in _SENTENCE.finditer(text[: LONGEST + 1])]
    return text[: ends[-1]] if ends else ""


def _is_prose(text: str) -> bool:
    words = _WORD.findall(text)
    odd = sum(text.count(c) for c in "=<>{}|\\_[]^$")
    return text.isascii() and sum(map(len, words)) > 0.7 * len(text) and odd <= 0.02 * len(text) and ">>>" not in text


def chosen(found: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Return what to train on and what to hold out, drawn by hash of the id: no near-duplicate and no title twice."""
    by_id = {document.id: document for document in sorted(found, key=lambda document: document.id)}
    left = sorted(by_id.values(), key=lambda document: hashlib.sha256(document.id.encode()).digest())
    titles = [document.title.lower() for document in left]
    left = [document for place, document in enumerate(left) if titles.index(titles[place]) == place]
    while True:
        held_out, train = (sorted(some, key=lambda one: one.id) for some in (left[:HELD_OUT], left[HELD_OUT:DOCUMENTS]))
        first = same_documents([document.text for document in held_out + train])
        alike = {one.id for place, one in enumerate(held_out + train) if first[place] != place}
        if not alike:
            return train, held_out
        left = [document for document in left if document.id not in alike]


def write(file: Path, documents: Sequence[Document]) -> None:
    """Write one JSON object a line, packed without name and time, so that the same documents are the same bytes."""
    lines = "".join(json.dumps(asdict(document), ensure_ascii=False) + "\n" for document in documents)
    file.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))


def notices(site: Path, stdlib: Path) -> str:
    """Return the licence of every package, as it came with it."""
    parts = [(f"Python {_python_version(stdlib)}", stdlib / "LICENSE.txt")]
    for name in PACKAGES:
        about = _about(site, name)
        parts.append((f"{name} {_version(about)}", _licence(about)))
    rule = "=" * 78
    return "\n\n".join(f"{rule}\n{name}\n{rule}\n\n{own_part(file)}" for name, file in parts) + "\n"


def own_part(file: Path) -> str:
    """Return a licence without what follows on the binary libraries in a wheel, none of which is copied."""
    text = file.read_text(encoding="utf-8").strip()
    return re.split(r"\n-{4,}\s+(?:-{4,}\s+)?This binary distr", text)[0].strip()


def _licence(about: Path) -> Path:
    named = [file for file in sorted(about.rglob("*")) if file.name.upper().startswith(("LICENSE", "COPYING"))]
    files = [file for file in named if file.is_file()]
    return min(files, key=lambda file: (len(file.parts), file.name))


def _about(site: Path, name: str) -> Path:
    found = sorted(site.glob(f"{name.replace('-', '_')}-*.dist-info"))
    if len(found) != 1:
        sys.exit(f"{site}: holds {len(found)} releases of {name}; see --help for the command that installs one")
    return found[0]


def _version(about: Path) -> str:
    return about.name.removesuffix(".dist-info").rpartition("-")[2]


def _python_version(stdlib: Path) -> str:
    if stdlib == Path(sysconfig.get_path("stdlib")):
        return sys.version.split()[0]
    return stdlib.name.removeprefix("python")


if __name__ == "__main__":
    sys.exit(main())
