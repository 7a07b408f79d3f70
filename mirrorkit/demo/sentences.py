"""The demo's own sentences, fixed beforehand: what is shown was not chosen by how it comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Sentences of the shipped graded set, all of whose other sentences are the candidates.
QUERIES: Sequence[str] = (
    "How do I reset my password?",
    "Heavy snow is expected in the hills tomorrow.",
    "She is allergic to peanuts.",
    "The violin was made in Cremona three centuries ago.",
)

TOPICS: Mapping[str, Sequence[str]] = {
    "weather": ("Heavy rain is on its way.", "Snow fell all night long.", "The sun will shine tomorrow."),
    "kitchen": ("Fry the onions in butter.", "The soup needs more salt.", "Bake the cake for an hour."),
    "music": ("She plays the violin well.", "The band sang an old song.", "He writes songs for guitar."),
    "money": ("The bank raised its rates.", "I paid the bill in cash.", "Her salary went up again."),
}
