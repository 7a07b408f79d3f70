"""DuckDB: a bundle as SQL functions from texts to vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.integrations.shared import Model, needs

with needs("duckdb", "duckdb pyarrow"):
    import duckdb
with needs("pyarrow"):
    import pyarrow as arrow

__all__ = ["register"]


def register(
    connection: Any,
    bundle: str | Path,
    *,
    name: str = "embed",
    variant: str = "auto",
    truncate_dim: int | None = None,
    revision: str | None = None,
    threads: int | None = None,
    expect: str | None = None,
) -> None:
    """Give `connection` the functions NAME(text), for what is stored, and NAME_query(text), for what is looked for.

    Both return FLOAT[dim], the type that DuckDB's `array_cosine_similarity` and its index take; of NULL it is NULL.
    DuckDB calls them for some 2,000 rows at a time. The options are those of `mirrorkit.Encoder`. Raises ConfigError
    for a name that is no identifier.
    """
    if not name.isidentifier():
        raise ConfigError(f"name {name!r}: must be an identifier, of letters, digits and underscores")
    model = Model(bundle, variant=variant, truncate_dim=truncate_dim, revision=revision, threads=threads, expect=expect)
    kind = duckdb.array_type(duckdb.sqltype("FLOAT"), model.dim)

    for called, encode in ((name, model.documents), (f"{name}_query", model.queries)):
        function = _over_arrow(encode, model.dim)
        connection.create_function(called, function, ["VARCHAR"], kind, type="arrow", null_handling="special")


def _over_arrow(encode: Callable[[list[str]], Any], dim: int) -> Callable[[Any], Any]:
    """Return what DuckDB calls: from a column of texts to one of vectors."""

    def vectors(texts: Any) -> Any:
        found = texts.to_pylist()
        missing = np.array([text is None for text in found], dtype=np.bool_)
        rows = np.zeros((len(found), dim), np.float32)
        if not missing.all():
            rows[~missing] = encode([text for text in found if text is not None])
        return arrow.FixedSizeListArray.from_arrays(arrow.array(rows.ravel()), dim, mask=arrow.array(missing))

    return vectors
