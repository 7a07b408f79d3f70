"""The token ids of what a draw trains on, of its views and negatives; the altered strings themselves are not kept."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Ints, RaggedIds, joined
from mirrorkit.text.strings import chunks
from mirrorkit.text.tokenizer import BLOCK
from mirrorkit.training.duplicates import same_tokens
from mirrorkit.training.pairs import Pairs
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.views import mask_pieces, mask_spans, shuffle_words, which_are_shuffled


def tokenise_views(
    encoder: SentenceEncoder, pairs: Pairs, recipe: Recipe, rng: np.random.Generator
) -> tuple[RaggedIds, Ints | None]:
    """Return the ids of all first views, all second views and the negatives, and a label of each where strings repeat.

    Two views have the same label when they are of the same text, or when their unmasked strings have the same tokens,
    as an uncased tokenizer makes of "May" and "may"; None says that no string occurs twice.
    """
    first = encoder.tokenize(pairs.first, recipe.max_length)
    second = second_views(encoder, pairs.second, recipe, rng, like=(pairs.first, first))
    others = [] if pairs.negatives is None else [encoder.tokenize(pairs.negatives, recipe.max_length)]
    views = joined([first, second, *others])
    if pairs.groups is not None:
        return views, pairs.groups
    del second
    if pairs.second is pairs.first:
        labels = same_tokens([first])
        return views, None if labels is None else np.tile(labels, 2)
    return views, same_tokens([first, encoder.tokenize(pairs.second, recipe.max_length), *others])


def second_views(
    encoder: SentenceEncoder,
    texts: list[str],
    recipe: Recipe,
    rng: np.random.Generator,
    like: tuple[list[str], RaggedIds] | None = None,
) -> RaggedIds:
    """Return the ids of texts of which a share have their words in another order and the others a hidden span.

    `like` are texts whose ids are known, should they be these.
    """
    mask_token = encoder.tokenizer.mask_token
    if recipe.span_mask and mask_token is None:
        raise ConfigError("this tokenizer has no mask token; use `span_mask=0`")
    moved = which_are_shuffled(texts, recipe.shuffle, rng)
    kept = [text for text, other in zip(texts, moved, strict=True) if not other]
    hidden = mask_spans(kept, width=recipe.span_mask, shortest=recipe.mask_from, mask_token=mask_token, rng=rng)
    orders = shuffle_words((text for text, other in zip(texts, moved, strict=True) if other), rng)
    changed = (next(orders if other else hidden) for other in moved)
    return mask_pieces(
        _ids(encoder, changed, recipe.max_length, like),
        texts,
        width=recipe.span_mask,
        shortest=recipe.mask_from,
        mask_id=encoder.tokenizer.mask_token_id,
        special=set(encoder.tokenizer.all_special_ids) - {encoder.tokenizer.unk_token_id},
        rng=rng,
    )


def _ids(
    encoder: SentenceEncoder, texts: Iterable[str], max_length: int, like: tuple[list[str], RaggedIds] | None
) -> RaggedIds:
    """Return the ids of texts, of which no more than a block are there at once."""
    parts: list[RaggedIds] = []
    done = 0
    for block in chunks(texts, BLOCK):
        end = done + len(block)
        known = like is not None and block == like[0][done:end]
        parts.append(like[1].part(done, end) if like and known else encoder.tokenize(block, max_length))
        done = end
    return joined(parts)
