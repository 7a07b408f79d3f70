"""What the adapters share: an opened bundle that tells queries from documents, one line where a library is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mirrorkit.errors import MirrorkitError, MissingExtraError
from mirrorkit.foreign import foreign
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.output import Array


@contextmanager
def needs(package: str, install: str | None = None) -> Iterator[None]:
    """Import `package` in the block, or say in one line what to install.

    Raises MissingExtraError where it is absent, MirrorkitError where it is there and broken.
    """
    with foreign(MirrorkitError, f"{package} is installed, but cannot be imported"):
        try:
            yield
        except ModuleNotFoundError as err:
            if (err.name or "").partition(".")[0] != package:
                raise
            raise MissingExtraError(
                f"{package} is not installed; run: pip install {install or package}", name=package
            ) from err


class Model:
    """An opened bundle and how its vectors are wanted.

    Queries get the bundle's prompt `query`, documents its prompt `document`, `passage` or `corpus`, where it has them.
    With `truncate_dim` what is left of vectors of unit length is brought to unit length again.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        variant: str = "auto",
        truncate_dim: int | None = None,
        revision: str | None = None,
        threads: int | None = None,
        expect: str | None = None,
    ) -> None:
        self.encoder = Encoder(bundle, variant, threads=threads, revision=revision, expect=expect)
        unit = truncate_dim is not None and self.encoder.usage.normalized
        self._how: dict[str, Any] = {"truncate_dim": truncate_dim, "normalize": True if unit else None}
        self.dim = min(self.encoder.dim, truncate_dim or self.encoder.dim)
        self.similarity = self.encoder.usage.similarity

    def queries(self, texts: Iterable[str]) -> Array:
        """Return vectors float32 [n, dim] of texts that look for others."""
        return self.encoder.encode_query(texts, **self._how)

    def documents(self, texts: Iterable[str]) -> Array:
        """Return vectors float32 [n, dim] of texts that are looked for."""
        return self.encoder.encode(texts, prompt=self.encoder.usage.document_prompt(), **self._how)
