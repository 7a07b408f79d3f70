"""A file of texts to a file of vectors: what `mirrorkit encode` does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mirrorkit.bundle import sha256_of
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.paths import local_path
from mirrorkit.readers import Source
from mirrorkit.runtime.encoder import CHUNK, Encoder
from mirrorkit.runtime.parts import open_parts
from mirrorkit.runtime.sinks import Write, check_target, open_sink

OnTexts = Callable[[int, "int | None"], None]  # texts encoded so far; about how many in all, where that can be told


@dataclass(frozen=True)
class EncodeResult:
    """What was encoded, and how long it took."""

    bundle: str
    variant: str
    out: str
    texts: int
    resumed: int  # of these, texts that an earlier run had done
    dim: int
    seconds: float  # opening of the bundle included

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def line(self) -> str:
        """Return what a person wants to read of it."""
        new = self.texts - self.resumed
        speed = f"{new / self.seconds:.0f} texts/s" if new else "none left to do"
        kept = f", {self.resumed:,} of them by an earlier run" if self.resumed else ""
        return f"wrote {self.out}: {self.texts:,} texts{kept}, {self.dim} dimensions, {self.variant}, {speed}"


def encode_file(
    bundle: str | Path,
    path: str,
    out: str | Path,
    *,
    variant: str = "auto",
    device: str | None = None,
    provider: str | None = None,
    engine: str | Path | None = None,
    rebuild: Callable[[Path, Path], object] | None = None,
    engine_cache: str | Path | None = None,
    threads: int | None = None,
    text_column: str | None = None,
    batch_tokens: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    on_progress: OnTexts | None = None,
) -> EncodeResult:
    """Encode the texts of a txt, csv, tsv, jsonl (each also .gz) or parquet file, or of standard input ("-").

    Row i of `out`, a .npy, .jsonl or .parquet file, is row i of the input; a blank row is encoded as "". Memory does
    not grow with the file. `out` appears when it is whole. With `resume` a parquet job that was stopped goes on. What
    runs the bundle is said as to `Encoder`.

    Raises CorpusError for a bad input file, OutputError where the result cannot be written, BundleError, ConfigError.
    """
    started = time.perf_counter()
    out = local_path(out)
    if resume and out.suffix != ".parquet":
        raise ConfigError(f"{out}: only a .parquet file can be resumed")
    check_target(out, overwrite=overwrite)
    path = path if path == "-" else str(local_path(path))
    if out.exists() and Path(path).exists() and out.samefile(path):
        raise OutputError(f"{out}: is the input itself; give another file")
    source = Source(path, [text_column] if text_column else None, 1)
    texts = (text for (text,) in source.records())
    encoder = Encoder(
        bundle,
        variant,
        device,
        threads,
        provider=provider,
        engine=engine,
        rebuild=rebuild,
        engine_cache=engine_cache,
    )
    done = resumed = 0

    def copy(texts: Iterator[str], write: Write) -> None:
        nonlocal done
        for block, vectors in encoder.blocks(texts, chunk=CHUNK, batch_tokens=batch_tokens, first=done):
            write(block, vectors)
            done += len(block)
            if on_progress:
                on_progress(done, _expected(source, done))

    if out.suffix == ".parquet":
        with open_parts(out, encoder.dim, _job(encoder), resume=resume, overwrite=overwrite) as parts:
            done = resumed = parts.skip(texts)
            copy(texts, parts.write)
            parts.join(overwrite=overwrite)
    else:
        with open_sink(out, encoder.dim, overwrite=overwrite) as write:
            copy(texts, write)
    seconds = time.perf_counter() - started
    return EncodeResult(str(bundle), encoder.variant, str(out), done, resumed, encoder.dim, seconds)


def _job(encoder: Encoder) -> dict[str, object]:
    """Return what decides the vectors."""
    hashes = "".join(sha256_of(file) for file in encoder.files)
    return {
        "model": hashlib.sha256(hashes.encode()).hexdigest(),
        "max_length": encoder.max_length,
        "dim": encoder.dim,
    }


def _expected(source: Source, done: int) -> int | None:
    """Return about how many texts there are in all, from the share of the file's bytes that has been read."""
    if source.path == "-" or source.path.endswith(".parquet") or not source.size:
        return None
    return max(done, round(done * Path(source.path).stat().st_size / source.size))
