"""A file of texts to a file of vectors: what `mirrorkit encode` does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress, Silent
from mirrorkit.runtime.encoder import CHUNK, Encoder
from mirrorkit.runtime.files.recording import check_beside, record_of, write_beside
from mirrorkit.runtime.files.sinks import RowShape, Write, check_target, open_sink
from mirrorkit.runtime.output import DTYPES, check_output_type, width_of
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading
from mirrorkit.text.understood import understood

if TYPE_CHECKING:
    from mirrorkit.runtime.tensorrt.options import Tensorrt


@dataclass(frozen=True)
class EncodeResult:
    """What was encoded, and how long it took.

    >>> from mirrorkit import encode_file
    >>> encode_file("bundle", "corpus.txt", "vectors.jsonl", truncate_dim=64).line()
    'wrote vectors.jsonl: 480 texts, 64 dimensions, int8-fused, ... texts/s'
    """

    bundle: str
    variant: str
    out: str
    texts: int
    resumed: int  # of these, texts that an earlier run had done
    dim: int
    fingerprint: str  # of the encoder, see `Encoder.fingerprint`
    seconds: float  # opening of the bundle included
    long: str = "cut"  # what became of texts of more than `max_length` tokens
    long_texts: int = 0  # of this run: how many there were
    max_length: int = 0
    understood: str = ""  # what the file was taken for and what was found in it, in a line for people

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return asdict(self)

    def line(self) -> str:
        """Return what a person wants to read of it."""
        new = self.texts - self.resumed
        speed = f"{new / self.seconds:.0f} texts/s" if new else "none left to do"
        kept = f", {self.resumed:,} of them by an earlier run" if self.resumed else ""
        told = f"{self.texts:,} texts{kept}, {self.dim} dimensions, {self.variant}, {self._long()}, {speed}"
        return f"wrote {self.out}: {told}"

    def _long(self) -> str:
        if not self.long_texts:
            return f"none longer than {self.max_length:,} tokens"
        how = "read in windows of" if self.long == "windows" else "cut at"
        return f"{self.long_texts:,} {how} {self.max_length:,} tokens"


def encode_file(
    bundle: str | Path,
    path: str,
    out: str | Path,
    *,
    variant: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    tensorrt: Tensorrt | None = None,
    engine: str = "onnxruntime",
    precision: str | None = None,
    text_column: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    prompt: str | None = None,
    prompt_name: str | None = None,
    normalize: bool | None = None,
    truncate_dim: int | None = None,
    output_type: str = "float32",
    revision: str | None = None,
    batch_tokens: int | None = None,
    expect: str | None = None,
    adapter: str | Path | None = None,
    long: str = "cut",
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> EncodeResult:
    """Encode the texts of a text, csv, tsv, json, jsonl, parquet or arrow file, or of standard input ("-").

    It may be packed as .gz, .bz2, .xz or .zst. What it is, is told from its content and said in `understood` of the
    result; where that leaves it open, `text_column`, `delimiter` (`none`: a line is a text), `encoding` and `header`
    decide.
    Row i of `out`, a .npy, .jsonl or .parquet file, is row i of the input; a blank row is encoded as "". Memory does
    not grow with the file. `out` appears when it is whole. With `resume` a parquet job that was stopped goes on.
    What made the vectors, and those of a few texts for `check_vectors`, is kept in the metadata of a .parquet file, or
    in the file `OUT.mirrorkit.json` beside any other.
    `variant`, `device`, `threads`, `tensorrt`, `engine`, `precision`, `revision`, `expect`, `adapter` and `long` are
    those of `Encoder`; `prompt`, `prompt_name`, `normalize`, `truncate_dim` and `output_type` those of
    `Encoder.encode`.

    Raises CorpusError for a bad input file, OutputError where the result cannot be written, BundleError, ConfigError.

    >>> from mirrorkit import encode_file
    >>> result = encode_file("bundle", "corpus.txt", "vectors.npy")
    >>> result.texts, result.dim
    (480, 384)
    """
    started = time.perf_counter()
    out = local_path(out)
    if resume and out.suffix != ".parquet":
        raise ConfigError(f"{out}: only a .parquet file can be resumed")
    check_target(out, overwrite=overwrite)
    if out.suffix != ".parquet":
        check_beside(out)
    path = path if path == "-" else str(local_path(path))
    if out.exists() and Path(path).exists() and out.samefile(path):
        raise OutputError(f"{out}: is the input itself; give another file")
    source = TextSource(path, Reading((text_column,) if text_column else None, delimiter, encoding, header))
    blank = 0

    def read() -> Iterator[str]:
        nonlocal blank
        for (text,) in source.records():
            blank += not text.strip()
            yield text

    texts = read()
    encoder = Encoder(
        bundle,
        variant,
        device,
        threads,
        tensorrt=tensorrt,
        revision=revision,
        engine=engine,
        precision=precision,
        expect=expect,
        adapter=adapter,
        long=long,
    )
    check_output_type(output_type)
    progress = progress or Silent()
    progress.phase("encoding")
    done = resumed = 0
    asked: dict[str, Any] = {
        "prompt": encoder.usage.prompt(prompt, prompt_name),
        "normalize": normalize,
        "truncate_dim": truncate_dim,
        "output_type": output_type,
    }
    dim = min(encoder.dim, truncate_dim or encoder.dim)
    record = record_of(encoder, **asked)
    canaries = encoder.long_texts  # which are none of the user's texts
    shape = RowShape(width_of(dim, output_type), DTYPES[output_type])

    def copy(texts: Iterator[str], write: Write) -> None:
        nonlocal done
        for block, vectors in encoder.blocks(texts, chunk=CHUNK, batch_tokens=batch_tokens, first=done, **asked):
            write(block, vectors)
            done += len(block)
            progress.advance(done, _expected(source, done))

    if out.suffix == ".parquet":
        from mirrorkit.runtime.files.parts import open_parts

        job = {"fingerprint": encoder.fingerprint, **asked}
        with open_parts(out, shape, job, resume=resume, overwrite=overwrite) as parts:
            done = resumed = parts.skip(texts)
            copy(texts, parts.write)
            parts.join(record.text(), overwrite=overwrite)
    else:
        with open_sink(out, shape, overwrite=overwrite) as write:
            copy(texts, write)
        write_beside(out, record)
    seconds = time.perf_counter() - started
    told = understood(source, done, blank)
    return EncodeResult(
        str(bundle),
        encoder.variant,
        str(out),
        done,
        resumed,
        dim,
        encoder.fingerprint,
        seconds,
        long,
        encoder.long_texts - canaries,
        encoder.max_length,
        told,
    )


def _expected(source: TextSource, done: int) -> int | None:
    """Return about how many texts there are in all, from the share of the file's bytes that has been read."""
    if source.path == "-" or source.table or not source.position:
        return None
    return max(done, round(done * Path(source.path).stat().st_size / source.position))
