"""fastembed, and Qdrant's client with it: a bundle registered as a custom model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.integrations.shared import needs
from mirrorkit.paths import local_path
from mirrorkit.runtime.hub import folder_of
from mirrorkit.runtime.opening import choose_variant

with needs("fastembed", "'fastembed>=0.8'"):
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

__all__ = ["add_bundle", "open_bundle"]

_added: dict[str, Path] = {}  # names that this process has given -> the graph; fastembed cannot take one back


def add_bundle(bundle: str | Path, name: str, *, variant: str = "fp32", revision: str | None = None) -> Path:
    """Register a bundle with fastembed under `name`; return its folder.

    fastembed then takes `TextEmbedding(name, specific_model_path=…)` with that folder, which `open_bundle` does. The
    pooled output of the graph is read, so that any pooling is right. Once a name is given to a model, fastembed keeps
    it for the life of the process.

    Raises ConfigError for a bundle with prompts, or whose vectors do not come as the model wants them: fastembed puts
    nothing before a text; and what `Encoder` raises.
    """
    folder = local_path(folder_of(bundle, variant, "cpu", revision=revision))
    opened = read_bundle(folder)
    if any(opened.usage.prompts.values()) or not opened.usage.plain:
        raise ConfigError(f"{bundle}: has prompts or cuts texts in a way that fastembed does not know; use `Encoder`")
    chosen = choose_variant(opened, variant, "cpu", verify=True)
    if _added.get(name) == chosen.file:
        return folder
    if any(one["model"].lower() == name.lower() for one in TextEmbedding.list_supported_models()):
        raise ConfigError(f"name {name!r}: fastembed has another model of that name; give another")
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.DISABLED,
        normalization=False,  # the graph does it
        sources=ModelSource(hf=name),  # never asked for, as the folder is given
        dim=opened.dim,
        model_file=chosen.file.relative_to(folder).as_posix(),
        output_name="sentence_embedding",
    )
    _added[name] = chosen.file
    return folder


def open_bundle(
    bundle: str | Path, *, name: str | None = None, variant: str = "fp32", revision: str | None = None, **more: Any
) -> Any:
    """Return fastembed's `TextEmbedding` of a bundle; `more` goes to it, such as `threads`.

    `name` is what fastembed calls it, by default `mirrorkit/`, the folder's name and the variant. Raises what
    `add_bundle` does.
    """
    name = name or f"mirrorkit/{local_path(bundle).name}-{variant}"
    folder = add_bundle(bundle, name, variant=variant, revision=revision)
    return TextEmbedding(name, specific_model_path=str(folder), **more)
