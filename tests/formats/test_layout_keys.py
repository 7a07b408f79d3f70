"""Which paths name a module of sentence-transformers."""

from __future__ import annotations

import pytest

from mirrorkit.formats.layout_keys import MODULE_TYPES


@pytest.mark.parametrize(
    "path",
    [
        "sentence_transformers.models.Normalize",  # as all wrote it for years
        "sentence_transformers.sentence_transformer.modules.normalize.Normalize",  # 5.7
        "sentence_transformers.base.modules.normalize.Normalize",  # 6.2
    ],
)
def test_every_release_has_its_own_path(path: str) -> None:
    assert MODULE_TYPES[path] == "Normalize"


@pytest.mark.parametrize("path", ["custom.Normalize", "sentence_transformers.models.normalize.Normalise", "Normalize"])
def test_a_class_of_that_name_elsewhere_is_another(path: str) -> None:
    assert path not in MODULE_TYPES
