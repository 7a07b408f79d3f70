"""Vectors to a file, block by block, in bounded memory; under the file's name only once it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.publish import check_file_target, publish_file
from mirrorkit.runtime.output import Array

Write = Callable[[Sequence[str], Array], None]  # texts and their vectors, in the order of the rows


@dataclass(frozen=True)
class RowShape:
    """What a row of the result is: how many numbers, of which type."""

    width: int
    dtype: type[np.generic] = np.float32


def check_target(out: Path, *, overwrite: bool) -> None:
    """Raise OutputError or ConfigError now for what would make the result be lost after all the work is done."""
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"{out}: must end in {', '.join(SUFFIXES)}, which says what is written")
    check_file_target(out, overwrite=overwrite)


@contextmanager
def npy_sink(out: Path, shape: RowShape, *, overwrite: bool) -> Iterator[Write]:
    """Write an array [rows, width], row by row; the header, which tells the number of rows, is set at the end."""
    rows = 0
    dtype = np.dtype(shape.dtype).newbyteorder("<")
    with publish_file(out, overwrite=overwrite) as file:
        _npy_header(file, 0, shape.width, dtype)
        start = file.tell()

        def write(texts: Sequence[str], vectors: Array) -> None:
            nonlocal rows
            file.write(vectors.astype(dtype, copy=False).tobytes())
            rows += len(texts)

        yield write
        file.seek(0)
        _npy_header(file, rows, shape.width, dtype)
        if file.tell() != start:
            raise OutputError(f"{out}: numpy {np.__version__} leaves no room in the header for {rows} rows")


@contextmanager
def jsonl_sink(out: Path, *, overwrite: bool) -> Iterator[Write]:
    """Write a line {"text", "embedding"} a row; the numbers have the digits that a float32 needs and no more."""
    with publish_file(out, overwrite=overwrite) as file:

        def write(texts: Sequence[str], vectors: Array) -> None:
            for text, vector in zip(texts, vectors.tolist(), strict=True):
                numbers = ", ".join(["%.9g" % value for value in vector])  # noqa: UP031  (half the time of an f-string)
                file.write(f'{{"text": {_json_string(text)}, "embedding": [{numbers}]}}\n'.encode())

        yield write


def _npy_header(file: BinaryIO, rows: int, width: int, dtype: np.dtype[Any]) -> None:
    header: dict[str, Any] = {"descr": dtype.str, "fortran_order": False, "shape": (rows, width)}
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


SUFFIXES = (".npy", ".jsonl", ".parquet")


def open_sink(out: Path, shape: RowShape, *, overwrite: bool) -> AbstractContextManager[Write]:
    """Return the sink for a .npy or .jsonl file."""
    return npy_sink(out, shape, overwrite=overwrite) if out.suffix == ".npy" else jsonl_sink(out, overwrite=overwrite)
