"""What every domain gives: a title that asks, a text that answers, and a label."""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_TITLE, LONGEST_TITLE = 12, 250  # characters
LONGEST_TEXT = 4000  # characters that are kept; no encoder here reads more


@dataclass(frozen=True)
class Entry:
    """One document."""

    source: str  # where it is from: unique within its domain
    title: str  # the query
    text: str  # what the query is to find; the title is not in it
    label: str


def fits(title: str, text: str, shortest_text: int) -> bool:
    """Return whether title and text are of a length that a search can be made of."""
    return SHORTEST_TITLE <= len(title) <= LONGEST_TITLE and len(text) >= shortest_text


def joined(text: str) -> str:
    """Return the text on one line, single spaces between words."""
    return " ".join(text.split())
