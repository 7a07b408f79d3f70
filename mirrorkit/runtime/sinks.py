"""Vectors to a file, block by block, in bounded memory; under the file's name only once it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.runtime.session import Floats

Write = Callable[[Sequence[str], Floats], None]  # texts and their vectors, in the order of the rows


def check_target(out: Path, *, overwrite: bool) -> None:
    """Raise OutputError or ConfigError now for what would make the result be lost after all the work is done."""
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"{out}: must end in {', '.join(SUFFIXES)}, which says what is written")
    try:
        if out.is_symlink() or (out.exists() and not out.is_file()):
            raise OutputError(f"{out}: is a folder, a link or a device; give a new file")
        if out.exists() and not overwrite:
            raise OutputError(f"{out}: exists; give another file or --overwrite")
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = _beside(out)
        probe.touch()
        probe.unlink()
    except OSError as err:
        raise OutputError(f"{out}: cannot be written ({err.strerror or err})") from err


@contextmanager
def draft(out: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Yield a hidden file beside `out`, open for writing; it becomes `out` when the block ends without an error."""
    hidden = _beside(out)
    try:
        with hidden.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if out.exists() and not overwrite:
            raise OutputError(f"{out}: was written by someone else meanwhile; give another file or --overwrite")
        hidden.replace(out)
    except OSError as err:
        raise OutputError(f"{out}: cannot be written ({err.strerror or err})") from err
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def npy_sink(out: Path, dim: int, *, overwrite: bool) -> Iterator[Write]:
    """Write float32 [rows, dim], row by row; the header, which tells the number of rows, is set right at the end."""
    rows = 0
    with draft(out, overwrite=overwrite) as file:
        _npy_header(file, 0, dim)
        start = file.tell()

        def write(texts: Sequence[str], vectors: Floats) -> None:
            nonlocal rows
            file.write(vectors.astype("<f4", copy=False).tobytes())
            rows += len(texts)

        yield write
        file.seek(0)
        _npy_header(file, rows, dim)
        if file.tell() != start:
            raise OutputError(f"{out}: numpy {np.__version__} leaves no room in the header for {rows} rows")


@contextmanager
def jsonl_sink(out: Path, *, overwrite: bool) -> Iterator[Write]:
    """Write a line {"text", "embedding"} a row; the numbers have the digits that a float32 needs and no more."""
    with draft(out, overwrite=overwrite) as file:

        def write(texts: Sequence[str], vectors: Floats) -> None:
            for text, vector in zip(texts, vectors.tolist(), strict=True):
                numbers = ", ".join(["%.9g" % value for value in vector])  # noqa: UP031  (half the time of an f-string)
                file.write(f'{{"text": {_json_string(text)}, "embedding": [{numbers}]}}\n'.encode())

        yield write


def _npy_header(file: BinaryIO, rows: int, dim: int) -> None:
    header: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
    np.lib.format.write_array_header_1_0(file, header)


def _json_string(text: str) -> str:
    spelled = json.dumps(text, ensure_ascii=False)
    # A lone surrogate has no UTF-8, but JSON can escape it.
    return spelled if spelled.isascii() or _encodable(text) else json.dumps(text)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _beside(out: Path) -> Path:
    return out.with_name(f".{out.name}.{os.getpid()}.partial")


SUFFIXES = (".npy", ".jsonl", ".parquet")


def open_sink(out: Path, dim: int, *, overwrite: bool) -> AbstractContextManager[Write]:
    """Return the sink for a .npy or .jsonl file."""
    return npy_sink(out, dim, overwrite=overwrite) if out.suffix == ".npy" else jsonl_sink(out, overwrite=overwrite)
