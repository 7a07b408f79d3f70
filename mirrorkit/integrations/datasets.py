"""Hugging Face datasets: a column of vectors from a column of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.integrations.shared import Model, needs
from mirrorkit.runtime.encoder import CHUNK

with needs("datasets"):
    import datasets  # noqa: F401  (what is given is one of its)

__all__ = ["embed"]


def embed(
    dataset: Any,
    bundle: str | Path,
    *,
    column: str = "text",
    into: str = "embedding",
    variant: str = "auto",
    truncate_dim: int | None = None,
    revision: str | None = None,
    threads: int | None = None,
    **map_options: Any,
) -> Any:
    """Return `dataset` (a Dataset, a DatasetDict or an iterable one) with the vectors of `column` in the column `into`.

    It is `dataset.map`, by batches; `map_options` go to it, such as `num_proc`. What datasets keeps in its cache goes
    by the encoder's fingerprint: another bundle in the same folder is not taken for this one. A missing text is
    encoded as "". Raises ConfigError for an unknown column.
    """
    model = Model(bundle, variant=variant, truncate_dim=truncate_dim, revision=revision, threads=threads)
    for name, part in dataset.items() if isinstance(dataset, dict) else [("the data set", dataset)]:
        if part.column_names is not None and column not in part.column_names:
            raise ConfigError(f"column {column!r}: {name} has {', '.join(part.column_names)}")
    told = {"column": column, "into": into, "model": model, "fingerprint": model.encoder.fingerprint}
    return dataset.map(_rows, batched=True, fn_kwargs=told, **{"batch_size": CHUNK, **map_options})


def _rows(batch: Any, column: str, into: str, model: Model, fingerprint: str) -> dict[str, Any]:
    """Return the new column; `fingerprint` is there for what datasets makes of the arguments: the key of its cache."""
    assert model.encoder.fingerprint == fingerprint
    return {into: model.documents(text or "" for text in batch[column])}
