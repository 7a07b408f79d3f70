"""What a fine-tune is made of, read before anything is trained: where the base lies, the strings, the recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.model.backbone import width_of
from mirrorkit.model.hub import locate_model
from mirrorkit.training.base import token_counter
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.recipes import Changes, Recipe, choose
from mirrorkit.training.view_choice import about


@dataclass(frozen=True)
class Material:
    base: str  # its name
    folder: Path  # that it lies in
    corpus: Corpus
    recipe: Recipe
    views: str  # which two views the strings have, and why


def read_material(
    base: str | Path,
    load: Callable[[], Corpus],
    recipe: str | Recipe,
    changes: Changes,
    *,
    pairs: bool,
    trust_remote_code: bool,
) -> Material:
    """Find the base, `load` the corpus and settle the recipe that fits both."""
    located = locate_model(base, trust_remote_code=trust_remote_code)
    layout = read_layout(located.folder)
    width = width_of(layout, trust_remote_code=trust_remote_code)
    data = load()
    settings = choose(
        recipe,
        width=width,
        own_pooling=layout.pooling if layout.named else None,
        texts=data.texts,
        changes=changes,
        pairs=pairs,
        count_tokens=token_counter(located.folder, layout, trust_remote_code),
    )
    views = "known pairs" if pairs else about(settings.views, settings.crop_range, data.texts)
    return Material(located.name, located.folder, data, settings, views)
