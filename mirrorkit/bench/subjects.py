"""What is measured: variants of a bundle, and what they are compared with. Opens them by one set of verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mirrorkit.batching import Ints, RaggedIds, pad_batch
from mirrorkit.bench.result import BASELINE
from mirrorkit.bundle import TOKENIZER, Bundle, Variant, is_bundle, read_bundle
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.paths import local_path
from mirrorkit.verification.measure import Floats

if TYPE_CHECKING:
    from mirrorkit.runtime.session import Session
    from mirrorkit.runtime.tokenizer import Tokenizer

TORCH = "torch"
OnTexts = Callable[[int], None]  # texts just done


@dataclass(frozen=True)
class Source:
    """One subject, before it is opened."""

    name: str  # BASELINE or a variant's name
    folder: str
    file: str  # the ONNX graph, relative to the folder; empty: torch runs the model
    precision: str
    graph: str
    file_bytes: int
    verify: bool  # hold the files against their recorded hashes on opening

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sources(bundle: Bundle, names: Sequence[str] | None, baseline: str | None, *, verify: bool) -> list[Source]:
    """Return the baseline and the variants of that name, or all.

    Without a `baseline` the plain fp32 variant stands in. Raises ConfigError for a variant that there is not,
    ModelError or BundleError for a baseline that cannot be used.
    """
    chosen = [bundle.variant(name) for name in dict.fromkeys(names)] if names else list(bundle.variants.values())
    if not chosen:
        raise BundleError(f"{bundle.folder}: holds no variants")
    return [_baseline(bundle, baseline, verify), *(_variant_source(v.name, bundle, v, verify) for v in chosen)]


def _baseline(bundle: Bundle, model: str | None, verify: bool) -> Source:
    if model is not None and not is_bundle(local_path(model)):
        from mirrorkit.hub import locate_model

        folder = locate_model(model)
        weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
        return Source(BASELINE, str(folder), "", "fp32", TORCH, weights, verify)
    other = bundle if model is None else read_bundle(local_path(model))
    variant = next((other.variants[name] for name in ("fp32", "fp32-fused") if name in other.variants), None)
    if variant is None:
        held = ", ".join(other.variants) or "no variants"
        hint = "; give --baseline MODEL" if model is None else ""
        raise ConfigError(f"{other.folder}: holds {held}, and no fp32 one to compare with{hint}")
    return _variant_source(BASELINE, other, variant, verify)


def _variant_source(name: str, bundle: Bundle, variant: Variant, verify: bool) -> Source:
    size = sum(bundle.files[file].bytes for file in (variant.file, *variant.data_files))
    folder, precision, graph = str(bundle.folder.absolute()), str(variant.precision), str(variant.graph)
    return Source(name, folder, variant.file, precision, graph, size, verify)


class Model(Protocol):
    """An open subject."""

    @property
    def max_length(self) -> int: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str], on_progress: OnTexts | None = None) -> Floats:
        """Return vectors float32 [n, dim], as the subject itself gives them."""

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        """Return the token ids of each text."""

    def run(self, input_ids: Ints, mask: Ints) -> Floats:
        """Return the vectors of one batch of token ids; every token is a real one where torch runs the model."""

    def batch(self, ids: RaggedIds, rows: Ints, pad_to: int | None = None) -> Floats:
        """Return the vectors of some rows, padded to the longest or further."""


def open_model(source: Source, threads: int) -> Model:
    """Open a subject; raises the errors of Encoder or SentenceEncoder. torch's threads are its process's own."""
    return OnnxModel(source, threads) if source.file else TorchModel(source.folder)


class OnnxModel:
    """One graph of a bundle, run by the light runtime."""

    def __init__(self, source: Source, threads: int) -> None:
        from mirrorkit.runtime.encoder import Encoder

        self._encoder = Encoder(source.folder, source.file, threads=threads, verify=source.verify)
        self._bundle = read_bundle(Path(source.folder))
        self._threads = threads
        self._file = self._bundle.path(source.file)
        self.max_length, self.dim = self._encoder.max_length, self._encoder.dim

    def encode(self, texts: Sequence[str], on_progress: OnTexts | None = None) -> Floats:
        return self._encoder.encode(texts, on_progress=on_progress)

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        return self._tokenizer.ids(texts)

    def run(self, input_ids: Ints, mask: Ints) -> Floats:
        return self._session.run(input_ids, mask)

    def batch(self, ids: RaggedIds, rows: Ints, pad_to: int | None = None) -> Floats:
        return self.run(*pad_batch(ids, rows, self._bundle.pad_token_id, pad_to))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from mirrorkit.runtime.tokenizer import Tokenizer

        return Tokenizer(self._bundle.path(TOKENIZER), self.max_length)

    @cached_property
    def _session(self) -> Session:
        from mirrorkit.runtime.session import open_session

        return open_session(self._file, threads=self._threads)


class TorchModel:
    """A model folder, run by torch."""

    def __init__(self, folder: str) -> None:
        self._encoder = _fed_encoder(folder)
        self.max_length, self.dim = int(self._encoder.max_length), int(self._encoder.dim)

    def encode(self, texts: Sequence[str], on_progress: OnTexts | None = None) -> Floats:
        vectors: Floats = self._encoder.encode(texts, on_progress=on_progress)
        return vectors

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        ids: RaggedIds = self._encoder.tokenize(texts)
        return ids

    def run(self, input_ids: Ints, mask: Ints) -> Floats:
        assert mask.all()
        return self._fed(input_ids.tolist())

    def batch(self, ids: RaggedIds, rows: Ints, pad_to: int | None = None) -> Floats:
        fed = [ids[int(row)].tolist() for row in rows]
        longest = max(fed, key=len)
        if pad_to is not None and pad_to > len(longest):
            fed.append((longest * (pad_to // len(longest) + 1))[:pad_to])  # a text that long has the others padded
        return self._fed(fed)[: len(rows)]

    def _fed(self, rows: list[list[int]]) -> Floats:
        self._encoder.given = RaggedIds.from_blocks([rows])
        try:
            everything = len(rows) * max(self.max_length, *map(len, rows))
            vectors: Floats = self._encoder.encode([""] * len(rows), batch_tokens=everything)
            return vectors
        finally:
            self._encoder.given = None


def _fed_encoder(folder: str) -> Any:
    """Load a SentenceEncoder that takes token ids, where some are `given`, in place of those of the texts."""
    from mirrorkit.model import SentenceEncoder

    class FedEncoder(SentenceEncoder):
        given: RaggedIds | None = None

        def tokenize(self, texts: Sequence[str], max_length: int | None = None) -> RaggedIds:
            return super().tokenize(texts, max_length) if self.given is None else self.given

    return FedEncoder.load(folder)


def full_batch(ids: RaggedIds, batch: int, length: int) -> tuple[Ints, Ints]:
    """Return int64 ids and mask, both [batch, length], filled with the tokens of texts; no padding."""
    tokens = np.resize(ids.flat, batch * length).astype(np.int64).reshape(batch, length)
    return tokens, np.ones_like(tokens)


def source_from(raw: Mapping[str, Any]) -> Source:
    """Return what `Source.as_dict` gave."""
    return Source(**raw)
