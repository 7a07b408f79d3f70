"""What a fine-tune is made of, read before anything is trained: where the base lies, the strings, the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.model.own_module import Backbone
from mirrorkit.text.scripts import DENSITY, is_unspaced
from mirrorkit.training.base import Base, find_base
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.losses.parts import check_parts
from mirrorkit.training.masked import check_masked
from mirrorkit.training.own import MakeViews, OwnLoss, name_of
from mirrorkit.training.recipe import Changes, Recipe
from mirrorkit.training.recipes import choose
from mirrorkit.training.teacher_vectors import Teacher
from mirrorkit.training.view_choice import Views, about
from mirrorkit.training.views import has_an_order


@dataclass(frozen=True)
class Material:
    base: Base
    corpus: Corpus
    recipe: Recipe
    views: str  # which two views the strings have, and why
    make_views: MakeViews | None  # what makes them, where that is a function of the user's
    teacher: Teacher | None = None


def read_material(
    base: str | Path | Backbone,
    load: Callable[[], Corpus],
    recipe: str | Recipe,
    changes: Changes,
    *,
    pairs: bool,
    trust_remote_code: bool,
    allow_equal_views: bool = False,
    loss: OwnLoss | None = None,
    ask: Callable[[Corpus], Teacher | None] | None = None,
) -> Material:
    """Find the base, `load` the corpus, settle the recipe that fits both, `ask` a teacher, if any, about the strings.

    Raises ConfigError for a recipe whose two views of a string are always equal, unless they are allowed to be.
    """
    given = changes.get("views")
    make_views = None if given is None or isinstance(given, str) else given
    if pairs and make_views is not None:
        raise ConfigError(f"views {name_of(make_views)}: the strings of `pairs` have their second view already")
    found = find_base(base, trust_remote_code=trust_remote_code)
    data = load()
    if loss is not None and data.negatives is not None:
        raise ConfigError(f"loss {name_of(loss)}: known pairs with a negative each have a loss of their own")
    settings = choose(
        recipe,
        width=found.width,
        own_pooling=found.own_pooling,
        texts=data.texts,
        changes=changes,
        pairs=pairs,
        own_loss=loss is not None,
        taught=ask is not None,
        count_tokens=found.count_tokens,
    )
    check_parts(settings, loss)
    check_masked(found, settings)
    if make_views is not None:
        views = f"own: {name_of(make_views)}"
    else:
        known = "known pairs" if data.negatives is None else "known pairs, each with a negative"
        views = known if pairs else about(settings.views, settings.crop_range, data.texts)
    identity = settings.views is Views.IDENTITY and not pairs
    if identity and not allow_equal_views and not found.drops_out and _all_equal(settings, data.texts):
        unmasked = f"strings shorter than `mask_from={settings.mask_from}`" if settings.span_mask else "`span_mask=0`"
        raise ConfigError(
            f"`dropout=0`, `drophead=0` and {unmasked} make the two views of every string equal, so there is nothing "
            "to learn; give one of them, `shuffle=0.5`, other `views`, or `allow_equal_views=True`"
        )
    return Material(found, data, settings, views, make_views, ask(data) if ask else None)


def _all_equal(settings: Recipe, texts: Sequence[str]) -> bool:
    """Tell whether neither dropout, a mask nor another order makes a second view differ from the first."""
    if settings.dropout or settings.drophead or (settings.shuffle and any(map(has_an_order, texts))):
        return False
    shortest = max(settings.mask_from, settings.span_mask + 1)
    long = (len(text) * (DENSITY if is_unspaced(text) else 1) >= shortest for text in texts)
    return not settings.span_mask or not any(long)
