"""The documentation of installed packages: the summary line asks, the body answers, the package is the label."""

from __future__ import annotations

import ast
import os
import re
import sysconfig
import warnings
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

from benchmarks.domains.entries import LONGEST_TEXT, Entry, fits, joined

SHORTEST = 220  # characters of a body
_SKIP = {"test", "tests", "idle_test", "__pycache__", "encodings", "lib2to3", "testing", "_vendor", "vendor"}
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


def entries(root: Path | None = None) -> Iterator[Entry]:
    """Yield the docstrings of modules, classes and functions under `root`, by default where packages are installed.

    Files are read as text and no module is imported. The order is that of the files' names.
    """
    root = root or Path(sysconfig.get_path("purelib"))
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if name not in _SKIP)
        for name in sorted(names):
            if name.endswith(".py"):
                yield from _of_file(Path(folder, name), root)


def _of_file(file: Path, root: Path) -> Iterator[Entry]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old "\d" in somebody's module is not our news
            tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    parts = file.relative_to(root).with_suffix("").parts
    pending: list[tuple[ast.AST, str]] = [(tree, ".".join(parts))]
    while pending:
        node, name = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            entry = _entry(ast.get_docstring(node, clean=False), f"{name}:{getattr(node, 'lineno', 0)}", parts[0])
            if entry:
                yield entry
        inner = [child for child in getattr(node, "body", []) if hasattr(child, "body")]
        pending += [(child, f"{name}.{getattr(child, 'name', '')}".rstrip(".")) for child in reversed(inner)]


def _entry(docstring: str | None, source: str, package: str) -> Entry | None:
    if not docstring or len(docstring) < SHORTEST:
        return None
    summary, _, body = _split(cleandoc(docstring))
    title, text = joined(summary), joined(body)[:LONGEST_TEXT]
    return Entry(source, title, text, package) if fits(title, text, SHORTEST) else None


def _split(docstring: str) -> tuple[str, str, str]:
    """Return the first paragraph, what parts it from the rest, and the rest."""
    end = _PARAGRAPH.search(docstring)
    if end is None:
        return docstring, "", ""
    return docstring[: end.start()], end.group(), docstring[end.end() :]
