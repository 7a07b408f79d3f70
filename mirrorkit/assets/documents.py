"""Read the shipped documents and sentences."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.assets.paths import DOCUMENTS, SENTENCES

WORDS = (4, 40)  # of a sentence
_SENTENCE = re.compile(r"(?<=[a-z0-9)\"'][.!?])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Document:
    id: str  # the dotted name of what is documented
    title: str  # which is the query that should find the text
    text: str
    source: str


def read_documents(file: Path) -> list[Document]:
    """Read one of the shipped files, DOCUMENTS or HELD_OUT."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [Document(**json.loads(line)) for line in lines]


def plain_sentences() -> list[str]:
    """Read the example sentences of WordNet."""
    with gzip.open(SENTENCES, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines]


def document_sentences(limit: int | None = None) -> list[str]:
    """Return distinct sentences of the shipped documents that are trained on, in their order, evenly drawn."""
    texts = (document.text for document in read_documents(DOCUMENTS))
    parts = dict.fromkeys(part.strip() for text in texts for part in _SENTENCE.split(text))
    found = [part for part in parts if WORDS[0] <= len(part.split()) <= WORDS[1] and part[-1] in ".!?"]
    if limit is None or limit >= len(found):
        return found
    return [found[i * len(found) // limit] for i in range(limit)]
