"""The Gene Ontology: the name of a term asks, its definition answers, the ontology's branch is the label."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.domains.entries import LONGEST_TEXT, Entry, fits, joined
from benchmarks.domains.packages import unpacked
from mirrorkit.errors import ConfigError

SHORTEST = 220  # characters of a definition
_FILE = "usr/lib/R/site-library/GO.db/extdata/GO.sqlite"  # in Debian's package
_BRANCHES = {"BP": "biological process", "CC": "cellular component", "MF": "molecular function"}


def entries(file: Path | None = None) -> Iterator[Entry]:
    """Yield the terms in GO.db's database `file`, by default that of Debian's `r-bioc-go.db`, in the order of ids.

    Obsolete terms stand in a table of their own, and the root of a branch has none of these labels.
    """
    file = file or unpacked("r-bioc-go.db") / _FILE
    try:
        # Opened as it is: a database that is not there must not be made.
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as base:
            rows = base.execute("SELECT go_id, term, ontology, definition FROM go_term ORDER BY go_id").fetchall()
    except sqlite3.Error as err:
        raise ConfigError(f"{file}: cannot be read as GO.db's database ({err})") from err
    for name, term, branch, definition in rows:
        title, text = joined(term), joined(definition or "")
        if branch in _BRANCHES and fits(title, text, SHORTEST):
            yield Entry(name, title, text[:LONGEST_TEXT], _BRANCHES[branch])
