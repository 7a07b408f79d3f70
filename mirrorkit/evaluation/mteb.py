"""An encoder that mteb 2.x takes: `mteb.evaluate(MtebEncoder.load("my-bundle"), tasks)`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.loading import Loaded, load_encoder
from mirrorkit.extras import require
from mirrorkit.formats.bundle import MANIFEST
from mirrorkit.formats.files import sha256_of
from mirrorkit.text.ragged import Floats

if TYPE_CHECKING:
    from torch import Tensor

_MODEL_FILES = ("*.json", "*/config.json", "*.safetensors", "*.txt")  # what makes a model folder the model it is


class MtebEncoder:
    """An opened encoder with mteb's interface. Queries and documents get the prompts that the model has for them.

    mteb keeps results by `name` (`organisation/model`) and `revision`, and does not run again what it has, so a
    revision must stand for one state of one model. It needs the extra mteb.

    >>> from mirrorkit import MtebEncoder
    >>> MtebEncoder.load("bundle", variant="int8").mteb_model_meta.name
    'mirrorkit/bundle-int8-fused'
    """

    def __init__(self, loaded: Loaded, name: str, revision: str) -> None:
        if name.count("/") != 1 or not all(name.split("/")):
            raise ConfigError(f"name {name!r}: mteb wants organisation/model")
        self._encoder = loaded.encoder
        self._cosines: Any = require("mteb.similarity_functions", extra="mteb")
        self.mteb_model_meta: Any = _about(
            require("mteb.models", extra="mteb").ModelMeta,
            name=name,
            revision=revision,
            embed_dim=loaded.dim,
            max_tokens=loaded.max_length,
            framework=[] if loaded.variant else ["PyTorch"],  # not all of mteb 2 has a name for ONNX
            similarity_fn_name="cosine",
            use_instructions=False,
        )

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        name: str | None = None,
        revision: str | None = None,
        pooling: str | None = None,
        device: str = "auto",
        variant: str | None = None,
        threads: int | None = None,
    ) -> MtebEncoder:
        """Open a bundle, model folder, shipped name or hub id.

        Where not given, the name is `mirrorkit/` and the folder's own, with the variant of a bundle, and the revision
        is a hash of the folder's files and the options that decide the vectors.
        """
        loaded = load_encoder(model, pooling=pooling, device=device, variant=variant, threads=threads)
        tail = f"-{loaded.variant}" if loaded.variant else ""
        return cls(
            loaded,
            name or f"mirrorkit/{loaded.folder.resolve().name}{tail}",
            revision or _revision(loaded.folder, loaded.variant or pooling),
        )

    def encode(self, inputs: Iterable[Mapping[str, Any]], *, prompt_type: Any = None, **_: Any) -> Floats:
        """Return unit vectors float32 [n, dim] of the texts in mteb's batches, in their order.

        Where mteb says that they are queries, or documents, they get the model's prompt for these, if it has one. What
        mteb says besides (task, split, batch size) changes nothing here.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        usage = getattr(self._encoder, "usage", None)
        if prompt_type is None or usage is None:
            return self._encoder.encode(texts)
        kind = getattr(prompt_type, "value", prompt_type)
        prompt = usage.prompt(name="query") if kind == "query" else usage.document_prompt()
        with_prompts: Any = self._encoder
        vectors: Floats = with_prompts.encode(texts, prompt=prompt)
        return vectors

    def similarity(self, embeddings1: npt.ArrayLike, embeddings2: npt.ArrayLike) -> Tensor:
        """Return the cosines of all with all, a tensor [n1, n2]."""
        cosines: Tensor = self._cosines.cos_sim(embeddings1, embeddings2)
        return cosines

    def similarity_pairwise(self, embeddings1: npt.ArrayLike, embeddings2: npt.ArrayLike) -> Tensor:
        """Return the cosines of corresponding rows, a tensor [n]."""
        cosines: Tensor = self._cosines.pairwise_cos_sim(embeddings1, embeddings2)
        return cosines


def _about(meta: Any, **known: Any) -> Any:
    """Return mteb's description of a model; unknown fields are None, whichever fields this mteb has."""
    unknown = {field: None for field, about in meta.model_fields.items() if about.is_required()}
    return meta(**(unknown | known))


def _revision(folder: Path, choice: str | None) -> str:
    """Return a hash over the files that decide the vectors, and over the variant or pooling chosen."""
    if (folder / MANIFEST).is_file():
        files = [folder / MANIFEST]  # it holds the hashes of all the others
    else:
        files = sorted({file for pattern in _MODEL_FILES for file in folder.glob(pattern)})
    digest = hashlib.sha256((choice or "").encode())
    for file in files:
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256_of(file)}\n".encode())
    return digest.hexdigest()[:40]
