"""The demo's text: to train on, held out, and the questions that are shown, fixed beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from mirrorkit.assets.documents import Document

# Titles of held-out documents, chosen for being understood and before any result was seen.
QUERIES = (
    "Create a directory and any missing ancestor directories.",
    "Return a sorted copy of an array.",
    "Generate Python documentation in HTML or text for interactive use.",
)


def write_documents(file: Path, documents: Iterable[Document], sentences: Iterable[str] = ()) -> None:
    """Write one JSON object a line, which `finetune` with a text column and `eval --search` read."""
    rows = [*map(vars, documents), *({"text": sentence} for sentence in sentences)]
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
