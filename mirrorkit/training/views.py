"""The second view of a string: the same string with a few characters hidden behind the mask token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mask_spans(
    texts: Sequence[str], *, width: int, shortest: int, mask_token: str, rng: np.random.Generator
) -> list[str]:
    """Replace `width` consecutive characters of each text, at a uniformly drawn place, by one mask token.

    Texts of fewer than `shortest` characters, and those the mask would swallow whole, stay as they are. The token is
    set off by spaces, so the tokenizer sees it whole. `rng` is consumed in the order of the texts.
    Source: random span masking, Liu et al. 2021 (Mirror-BERT), section 2.2.
    """
    if width == 0:
        return list(texts)
    shortest = max(shortest, width + 1)
    rooms = np.array([len(t) - width + 1 if len(t) >= shortest else 1 for t in texts])
    places = rng.integers(0, rooms)
    return [
        f"{text[:place]} {mask_token} {text[place + width :]}" if len(text) >= shortest else text
        for text, place in zip(texts, places.tolist(), strict=True)
    ]
