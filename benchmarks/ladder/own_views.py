"""Views of a text that the product does not have, to see whether it should."""

from __future__ import annotations

import numpy as np

from mirrorkit.training.own import MakeViews
from mirrorkit.training.pieces import two_crops

_DROPPED = 0.3  # of the words
_TOGETHER = 2  # words of a shuffled text that stay side by side


def dropped(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the text, and the text without about a third of its words."""
    words = text.split()
    kept = [word for word in words if rng.random() >= _DROPPED]
    return text, " ".join(kept) or text


def both_dropped(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the text twice, each time without other words."""
    return dropped(text, rng)[1], dropped(text, rng)[1]


def shuffled(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the text, and the text with its words in another order."""
    words = text.split()
    return text, " ".join(words[i] for i in rng.permutation(len(words)).tolist())


def both_shuffled(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the text twice, its words in two other orders."""
    return shuffled(text, rng)[1], shuffled(text, rng)[1]


def crop_shuffled(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return two crops of 30 to 250 characters, the second one's words in another order."""
    first, second = two_crops(text, 30, 250, rng.random(5).tolist()) or (text, text)
    return first, shuffled(second, rng)[1]


def swapped(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the text, and the text with pairs of words in another order, and some words dropped."""
    words = [word for word in text.split() if rng.random() >= _DROPPED / 2] or text.split()
    parts = [words[i : i + _TOGETHER] for i in range(0, len(words), _TOGETHER)]
    return text, " ".join(" ".join(parts[i]) for i in rng.permutation(len(parts)).tolist())


OWN_VIEWS: dict[str, MakeViews] = {
    "dropped": dropped,
    "both dropped": both_dropped,
    "shuffled": shuffled,
    "swapped": swapped,
    "both shuffled": both_shuffled,
    "crop shuffled": crop_shuffled,
}
