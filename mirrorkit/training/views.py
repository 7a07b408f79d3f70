"""The second view of a string: the same string with a few characters hidden behind the mask token."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from mirrorkit.text.ragged import RaggedIds
from mirrorkit.text.scripts import DENSITY, is_ideographic, is_unspaced


def mask_spans(
    texts: Sequence[str], *, width: int, shortest: int, mask_token: str, rng: np.random.Generator
) -> Iterator[str]:
    """Replace `width` consecutive characters of each text, at a uniformly drawn place, by one mask token.

    Texts of fewer than `shortest` characters, those the mask would swallow whole, and those of scripts without blanks
    between words, which `mask_pieces` masks, stay as they are. The token is set off by spaces, so the tokenizer sees it
    whole. All places are drawn at once, in the order of the texts; each text is made when it is asked for.
    Source: random span masking, Liu et al. 2021 (Mirror-BERT), section 2.2.
    """
    if width == 0:
        return iter(texts)
    shortest = max(shortest, width + 1)
    fit = [len(text) >= shortest and not is_unspaced(text) for text in texts]
    rooms = np.array([len(text) - width + 1 if fits else 1 for text, fits in zip(texts, fit, strict=True)])
    places = rng.integers(0, rooms)
    return (
        f"{text[:place]} {mask_token} {text[place + width :]}" if fits else text
        for text, place, fits in zip(texts, map(int, places), fit, strict=True)
    )


def shuffle_words(texts: Iterable[str], rng: np.random.Generator) -> Iterator[str]:
    """Yield each text with its words in a random order; what has no blanks stays as it is.

    `rng` is consumed text by text, as they are asked for. What an encoder learns of two orders of the same words is to
    heed the words more and the order less. Source: token shuffling, Yan et al. 2021 (ConSERT, arXiv:2105.11741),
    section 3.3.

    >>> list(shuffle_words(["one two three"], np.random.default_rng(0)))
    ['three one two']
    """
    for text in texts:
        words = text.split()
        yield " ".join(words[i] for i in rng.permutation(len(words)).tolist())


def has_an_order(text: str) -> bool:
    """Tell whether there are words to be put into another order: several, with blanks between them."""
    return " " in text.strip() and not is_unspaced(text)


def which_are_shuffled(texts: Sequence[str], share: float, rng: np.random.Generator) -> list[bool]:
    """Draw which texts are to have their words in another order, a share of those that can.

    Without a share nothing is drawn from `rng`.
    """
    if not share:
        return [False] * len(texts)
    drawn = (rng.random(len(texts)) < share).tolist()
    return [hit and has_an_order(text) for hit, text in zip(drawn, texts, strict=True)]


def mask_pieces(
    ids: RaggedIds,
    texts: Sequence[str],
    *,
    width: int,
    shortest: int,
    mask_id: int,
    special: Collection[int],
    rng: np.random.Generator,
) -> RaggedIds:
    """Replace a run of the tokenizer's own pieces by one mask token in each text of a script without blanks.

    The run has as many pieces as `width` characters have on average in that text, a third of them where the text is
    Chinese or Japanese, and so has `shortest`; at least one piece, and never all. A mask set off by blanks would cut
    words apart there, and the tokenizer would see other pieces beside it. `rng` is consumed in the order of the texts.
    """
    unspaced = [i for i, text in enumerate(texts) if is_unspaced(text)] if width else []
    if not unspaced:
        return ids
    rows = [ids[i].tolist() for i in range(len(ids))]
    for i in unspaced:
        text, row = texts[i], rows[i]
        density = DENSITY if is_ideographic(text) else 1
        own = [place for place, piece in enumerate(row) if piece not in special]
        run = max(1, round(width / density * len(own) / len(text)))
        if len(text) * density >= shortest and len(own) > run:
            first = own[int(rng.integers(0, len(own) - run + 1))]
            rows[i] = [*row[:first], mask_id, *row[first + run :]]
    return RaggedIds.from_blocks([rows])
