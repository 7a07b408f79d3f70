"""Two views of a word by functions: slips, inflections, quotes and short contexts. Each needs the word alone."""

from __future__ import annotations

import numpy as np

from mirrorkit.training.own import MakeViews
from mirrorkit.training.probe import _with_slips as with_slips

# Contexts that fit nouns, verbs and adjectives alike.
CONTEXTS = (
    "{}",
    '"{}"',
    "the word {}",
    "{} and so on",
    "what {} means",
    "for example, {}",
    "{}, or something like it",
    "it is called {}",
)
ENDINGS = ("s", "ing", "ed", "er", "ly")


def slip(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the word and, every other time, a copy with a slip."""
    return text, with_slips(text, rng) if len(text) > 3 and rng.random() < 0.5 else text


def inflected(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the word and, every other time, a form of it, right or not."""
    return text, text + ENDINGS[rng.integers(len(ENDINGS))] if rng.random() < 0.5 else text


def quoted(text: str, rng: np.random.Generator) -> tuple[str, str]:  # noqa: ARG001
    """Return the word and the word in quotes."""
    return text, f'"{text}"'


def context(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the word and the word in a context."""
    return text, CONTEXTS[rng.integers(len(CONTEXTS))].format(text)


def contexts(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the word in two contexts."""
    first, second = rng.choice(len(CONTEXTS), 2, replace=False)
    return CONTEXTS[first].format(text), CONTEXTS[second].format(text)


OWN: dict[str, MakeViews] = {one.__name__: one for one in (slip, inflected, quoted, context, contexts)}
