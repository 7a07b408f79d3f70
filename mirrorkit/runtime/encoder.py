"""The encoder of a bundle: text in, vectors out, with numpy, tokenizers and ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirrorkit.batching import Ints, RaggedIds, homogeneous_chunks, pad_batch
from mirrorkit.bundle import TOKENIZER, read_bundle
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.paths import local_path
from mirrorkit.runtime.opening import Opened, open_folder, open_for_engine
from mirrorkit.runtime.session import Floats, Session, check_device, open_session
from mirrorkit.runtime.texts import chunks, strings

if TYPE_CHECKING:
    from mirrorkit.runtime.tensorrt_provider import TensorrtOptions

# Padding included. More makes a batch no faster on a CPU, where each thread has a batch of its own, and takes memory.
BATCH_TOKENS = {"cpu": 512, "cuda": 16_384}
PASS_COST = 16  # tokens of padding that cost as much as another pass through the graph
CHUNK = 4096  # texts; enough for batches of one length, and 6 MB of vectors of 384 dimensions

OnProgress = Callable[[int], None]  # texts just done


class Encoder:
    """A bundle, or an ONNX folder made by others, opened for use.

    `variant` is `auto` (the fastest one for the device that verification let pass), `fp32` (the fused graph where
    there is one), `fp16`, `int8`, `int4`, the exact name of a variant, or its file in the folder. `device` is `cpu`
    (the default) or `cuda`; `threads` None means the physical cores this process may use. With `verify` the chosen
    files are held against their recorded hashes first.

    With `engine`, the folder of a TensorRT engine made of this bundle, `variant` is `tensorrt`. An engine that is for
    another GPU, library or bundle is refused, or mended by `rebuild`, which is called with the folders of bundle and
    engine (`mirrorkit.rebuild_engine` is such a function). Without one, `provider="tensorrt"` leaves it to ONNX
    Runtime to build an engine of the graph, which it keeps below `engine_cache` (None: in the user's cache folder).
    Either means `cuda`.

    Threads may share an encoder. It can be pickled, and a child made by fork opens it anew on first use; on a GPU it
    must be made by spawn.

    Raises BundleError for a folder or engine that cannot be used, ConfigError for a variant, device or provider that
    is not there.
    """

    def __init__(
        self,
        folder: str | Path,
        variant: str = "auto",
        device: str | None = None,
        threads: int | None = None,
        *,
        verify: bool = True,
        provider: str | None = None,
        engine: str | Path | None = None,
        rebuild: Callable[[Path, Path], object] | None = None,
        engine_cache: str | Path | None = None,
    ) -> None:
        self._state = {
            "folder": Path(folder).expanduser().absolute(),
            "variant": variant,
            "device": device,
            "threads": threads,
            "verify": verify,
            "provider": provider,
            "engine": engine and Path(engine).expanduser().absolute(),
            "rebuild": rebuild,
            "engine_cache": engine_cache and Path(engine_cache).expanduser().absolute(),
        }
        device = _device(variant, device, provider, engine)
        session: Session  # or an EngineSession, which offers what is used of one here
        if engine is not None:
            opened, session = _open_engine(folder, Path(engine), rebuild, verify)
        else:
            opened = open_folder(folder, variant, provider or device, verify=verify)
            options = _tensorrt(opened, engine_cache) if provider else None
            session = open_session(opened.file, device=device, threads=threads, tensorrt=options)
        self.folder = Path(folder).expanduser().absolute()
        self.variant = opened.variant
        self.max_length = opened.max_length  # tokens, special ones included; longer text is cut
        self.files = opened.files  # what decides the vectors
        self._opened = opened
        self._session = session
        self.dim = self._dim()  # length of a vector

    def encode(
        self,
        texts: Iterable[str],
        *,
        normalize: bool = True,
        batch_tokens: int | None = None,
        show_progress: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Floats:
        """Return vectors float32 [n, dim], in the order of `texts`: any iterable of strings.

        Batches hold texts of similar length and at most `batch_tokens` tokens, padding included (None: what suits the
        device). On a CPU as many batches run at a time as the encoder has threads. `on_progress` is
        called with the number of texts just done. Raises TypeError for anything but strings, naming the index;
        ConfigError for `normalize=False` where the graph itself normalises, as it does in every bundle.
        """
        budget = self._check(normalize, batch_tokens)
        return self._encode(list(strings(texts, "encode")), 0, normalize, budget, show_progress, on_progress)

    def encode_iter(
        self,
        texts: Iterable[str],
        *,
        chunk: int = CHUNK,
        normalize: bool = True,
        batch_tokens: int | None = None,
    ) -> Iterator[Floats]:
        """Yield vectors float32 [m, dim] for each `chunk` texts in turn, reading no further ahead than that."""
        return (
            vectors for _, vectors in self.blocks(texts, chunk=chunk, normalize=normalize, batch_tokens=batch_tokens)
        )

    def blocks(
        self,
        texts: Iterable[str],
        *,
        chunk: int = CHUNK,
        normalize: bool = True,
        batch_tokens: int | None = None,
        first: int = 0,
    ) -> Iterator[tuple[list[str], Floats]]:
        """Yield each `chunk` texts in turn together with their vectors; an error counts texts from `first` on."""
        budget = self._check(normalize, batch_tokens)
        if chunk < 1:
            raise ConfigError(f"chunk {chunk}: must be at least 1")
        return self._blocks(chunks(strings(texts, "encode_iter"), chunk), first, normalize, budget)

    def _blocks(
        self, blocks: Iterator[list[str]], done: int, normalize: bool, batch_tokens: int
    ) -> Iterator[tuple[list[str], Floats]]:
        for block in blocks:
            yield block, self._encode(block, done, normalize, batch_tokens, False, None)
            done += len(block)

    def _encode(
        self,
        texts: Sequence[str],
        first: int,
        normalize: bool,
        batch_tokens: int,
        show_progress: bool,
        on_progress: OnProgress | None,
    ) -> Floats:
        if len(texts) == 1:
            vectors = self._encode_one(texts[0], first)
            if on_progress:
                on_progress(1)
        else:
            vectors = self._encode_many(texts, first, batch_tokens, show_progress, on_progress)
        if normalize and not self._opened.normalized:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def _encode_one(self, text: str, first: int) -> Floats:
        """Return the vector float32 [1, dim] of one text.

        What puts many texts into batches would cost as much here as tokenising: a pass pushes all of it out of the
        processor's caches, so that it comes from memory each time.
        """
        found = self._opened.tokenizer.ids_of(text)
        ids = np.array([found or [self._opened.pad_id]], dtype=np.int64)
        mask = np.ones_like(ids) if found else np.zeros_like(ids)
        return self._finite(self._session.run(ids, mask), np.zeros(1, dtype=np.int64), first)

    def _encode_many(
        self,
        texts: Sequence[str],
        first: int,
        batch_tokens: int,
        show_progress: bool,
        on_progress: OnProgress | None,
    ) -> Floats:
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        ids = self._opened.tokenizer.ids(texts)
        with _bar(len(texts)) if show_progress else nullcontext() as bar:
            for rows, values in self._run_all(ids, first, batch_tokens):
                vectors[rows] = values
                for report in (bar, on_progress):
                    if report:
                        report(len(rows))
        return vectors

    def _run_all(self, ids: RaggedIds, first: int, batch_tokens: int) -> Iterator[tuple[Ints, Floats]]:
        """Yield the rows of each batch with their vectors.

        Threads that work on batches of their own need not wait for one another after every layer, as those that
        share a batch must.
        """
        batches = list(_batches(ids.lengths, batch_tokens, self._session.max_rows))
        callers = min(self._session.threads, len(batches)) if self._session.device == "cpu" else 1
        if callers < 2:
            for rows in batches:
                yield rows, self._run(self._session, ids, rows, first)
            return
        from concurrent.futures import ThreadPoolExecutor

        session = self._session.for_callers()
        pool = ThreadPoolExecutor(callers)
        try:
            yield from zip(batches, pool.map(lambda rows: self._run(session, ids, rows, first), batches), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _run(self, session: Session, ids: RaggedIds, rows: Ints, first: int) -> Floats:
        longest = int(ids.lengths[rows].max())
        vectors = session.run(*pad_batch(ids, rows, self._opened.pad_id, longest or 1))
        return self._finite(vectors, rows, first)

    def _finite(self, vectors: Floats, rows: Ints, first: int) -> Floats:
        if not np.isfinite(vectors).all():
            bad = rows[~np.isfinite(vectors).all(axis=1)].min() + first
            raise BundleError(f"{self._opened.file}: the vector of texts[{bad}] holds values that are no numbers")
        return vectors

    def _check(self, normalize: bool, batch_tokens: int | None) -> int:
        if batch_tokens is None:
            batch_tokens = BATCH_TOKENS[self._session.device]
        if batch_tokens < 1:
            raise ConfigError(f"batch_tokens {batch_tokens}: must be at least 1")
        if self._opened.normalized and not normalize:
            raise ConfigError(
                "normalize=False: the graph of a bundle normalises by itself, so the pooled length is not to be had"
            )
        return batch_tokens

    def _dim(self) -> int:
        """Return the length of a vector; a graph that does not tell is tried out."""
        told = self._session.signature.dim
        if told is None:
            one_token = np.zeros((1, 1), dtype=np.int64)
            told = int(self._session.run(one_token, one_token + 1).shape[-1])
        if self._opened.dim not in (None, told):
            raise BundleError(f"{self._opened.file}: gives {told} dimensions, mirrorkit.json says {self._opened.dim}")
        return told

    def __getstate__(self) -> dict[str, Any]:
        return self._state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # opening is all that there is to restore

    def __repr__(self) -> str:
        return f"Encoder({str(self.folder)!r}, variant={self.variant!r}, dim={self.dim}, max_length={self.max_length})"


def _batches(lengths: Ints, budget: int, max_rows: int | None = None) -> Iterator[Ints]:
    """Yield rows, longest first, in batches of about one length and at most `budget` tokens (one text at the least)."""
    for rows in homogeneous_chunks(lengths, PASS_COST):
        count = max(1, budget // max(1, int(lengths[rows].max())))
        count = min(count, max_rows or count)
        for start in range(0, len(rows), count):
            yield rows[start : start + count]


def _device(variant: str, device: str | None, provider: str | None, engine: str | Path | None) -> str:
    """Return the device; raises ConfigError for options that exclude one another."""
    if provider not in (None, "tensorrt"):
        raise ConfigError(f"provider {provider!r}: must be tensorrt; without it ONNX Runtime runs on the device itself")
    if engine is None and variant == "tensorrt":
        raise ConfigError(
            "variant tensorrt: give the folder of its engine too; mirrorkit engine BUNDLE -o DIR makes one"
        )
    if engine is not None and (provider or variant not in ("auto", "tensorrt")):
        other = f"provider {provider}" if provider else f"variant {variant}"
        raise ConfigError(f"{other}: not together with an engine, which is a variant of its own, tensorrt")
    gpu = engine is not None or provider is not None
    if device is None:
        return "cuda" if gpu else "cpu"
    check_device(device)
    if gpu and device != "cuda":
        raise ConfigError(f"device {device}: TensorRT runs on cuda alone")
    return device


def _open_engine(
    folder: str | Path, engine: Path, rebuild: Callable[[Path, Path], object] | None, verify: bool
) -> tuple[Opened, Any]:
    from mirrorkit.runtime.tensorrt import open_engine

    session = open_engine(local_path(engine), read_bundle(local_path(folder)), verify=verify, rebuild=rebuild)
    return open_for_engine(folder, session.file, session.max_length, verify=verify), session


def _tensorrt(opened: Opened, cache: str | Path | None) -> TensorrtOptions:
    from mirrorkit.runtime.tensorrt_provider import tensorrt_options

    files = [file for file in opened.files if file.name != TOKENIZER]
    return tensorrt_options(files, opened.max_length, local_path(cache) if cache else None)


def _bar(total: int) -> Any:
    """Return a context whose value, called with a number of texts, moves a bar on stderr."""
    from mirrorkit.runtime.progress import bar

    return bar(total)
