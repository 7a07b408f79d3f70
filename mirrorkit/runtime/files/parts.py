"""A parquet file made of parts, so that a job that was stopped can be taken up again.

The parts lie in a hidden folder beside the result until they are joined. Each holds its texts, so that whether the
input is still the same is seen from the rows themselves.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.formats.json_file import read_json
from mirrorkit.formats.vectors_record import KEY
from mirrorkit.publish import publish_file, write_whole
from mirrorkit.publish.targets import told
from mirrorkit.publish.workshop import locked, release, remove
from mirrorkit.runtime.files.sinks import RowShape
from mirrorkit.runtime.output import Array
from mirrorkit.text.strings import replace_surrogates

log = logging.getLogger(__name__)

_JOB = "job.json"
_PARTS = "part-*.parquet"
_ANEW = "start again with `overwrite=True` in place of `resume=True`"


def of_few_values(schema: Any) -> list[str]:
    """Return the columns of a parquet file that a dictionary of their values makes smaller: all but lists of floats.

    The numbers of a vector are all different: a dictionary of them is tried and dropped, and kept in a small file,
    which it makes half as large again. Bytes take 32 bits each without one.
    """
    types = require("pyarrow", extra="parquet").types

    def is_of_floats(kind: Any) -> bool:
        lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        return lists and bool(types.is_floating(kind.value_type))

    few = [field.name for field in schema if not is_of_floats(field.type)]
    return [*few, *(f"{name}.list.element" for name in few)]


class Parts:
    """The parts of `out` so far; made with `open_parts`."""

    def __init__(self, out: Path, shape: RowShape) -> None:
        self.out = out
        self.folder = _folder_of(out)
        self._arrow = require("pyarrow", extra="parquet")
        self._parquet = require("pyarrow.parquet", extra="parquet")
        numbers = self._arrow.from_numpy_dtype(np.dtype(shape.dtype))
        embedding = self._arrow.list_(numbers, shape.width)
        self._schema = self._arrow.schema([("text", self._arrow.string()), ("embedding", embedding)])
        self._width = shape.width
        self._next = 0

    def skip(self, texts: Iterator[str]) -> int:
        """Pass over the texts that the parts hold already; returns how many. Raises OutputError where they differ."""
        done = 0
        while (file := self._file(self._next)).is_file():
            try:
                kept = self._read(file, ["text"])["text"].to_pylist()
            except (OSError, ValueError, KeyError) as err:
                raise OutputError(f"{file}: damaged; {_ANEW}") from err
            given = [replace_surrogates(text) for text in islice(texts, len(kept))]
            if given != kept:
                row = next((i for i, (old, new) in enumerate(zip(kept, given, strict=False)) if old != new), len(given))
                raise OutputError(
                    f"{self.out}: row {done + row + 1} of the input has changed since this job began; {_ANEW}"
                )
            done += len(kept)
            self._next += 1
        return done

    def write(self, texts: Sequence[str], vectors: Array) -> None:
        """Add a part, which is there wholly or not at all."""
        flat = self._arrow.array(vectors.reshape(-1))
        columns = [
            self._arrow.array([replace_surrogates(text) for text in texts], self._arrow.string()),
            self._arrow.FixedSizeListArray.from_arrays(flat, self._width),
        ]
        with self._arrows_errors(), write_whole(self._file(self._next)) as file:
            self._parquet.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema), file)
        self._next += 1

    def join(self, about: str, *, overwrite: bool) -> None:
        """Write `out`, one row group a part, with `about` in its metadata, and remove the parts."""
        schema = self._schema.with_metadata({KEY: about})
        with (
            self._arrows_errors(),
            publish_file(self.out, overwrite=overwrite) as file,
            self._parquet.ParquetWriter(file, schema, use_dictionary=of_few_values(schema)) as writer,
        ):
            for number in range(self._next):
                writer.write_table(self._read(self._file(number)))
        _clear(self.folder)

    @contextmanager
    def _arrows_errors(self) -> Iterator[None]:
        try:
            yield
        except self._arrow.ArrowException as err:
            raise OutputError(f"{self.out}: cannot be written by pyarrow ({reason(err)})") from err

    def _read(self, file: Path, columns: list[str] | None = None) -> Any:
        """Return the table in `file`. Arrow waits for ever for threads of its own that there is no memory to start."""
        with self._parquet.ParquetFile(file) as table:
            return table.read(columns=columns, use_threads=False)

    def _file(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"


@contextmanager
def open_parts(out: Path, shape: RowShape, job: dict[str, Any], *, resume: bool, overwrite: bool) -> Iterator[Parts]:
    """Yield the parts of `out`: with `resume` those of a job that was stopped, else none.

    `job` is what must be the same for parts to go together. Raises OutputError for parts of another job, while
    another process writes them, and where `overwrite` would be needed to throw the parts of a stopped job away.
    """
    parts = Parts(out, shape)
    with told(out):
        lock = locked(parts.folder, out)
        try:
            if resume:
                _check_job(parts.folder / _JOB, job, out)
            else:
                _empty(parts.folder, out, overwrite=overwrite)
            with write_whole(parts.folder / _JOB) as file:
                file.write(json.dumps(job).encode())
            yield parts
        except BaseException:
            if any(parts.folder.glob(_PARTS)):
                log.warning("%s: the finished rows are kept; continue with `resume=True`", out)
            raise
        finally:
            keep = any(parts.folder.glob(_PARTS))
            if not keep:
                _clear(parts.folder)
            release(parts.folder, lock, keep=keep)


def _folder_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.parts")


def _check_job(file: Path, job: dict[str, Any], out: Path) -> None:
    if not file.is_file():
        log.warning("%s: there is no job to resume; starting at the first row", out)
        return
    try:
        begun = read_json(file, OutputError)
    except OutputError as err:
        raise OutputError(f"{file}: damaged; {_ANEW}") from err
    if begun != job:
        raise OutputError(f"{out}: was begun with another bundle or variant; {_ANEW}")


def _empty(folder: Path, out: Path, *, overwrite: bool) -> None:
    done = sorted(folder.glob(_PARTS))
    if done and not overwrite:
        raise OutputError(
            f"{out}: an earlier job was stopped half-way; continue with `resume=True` or start again with "
            "`overwrite=True`"
        )
    _clear(folder)


def _clear(folder: Path) -> None:
    for file in (folder / _JOB, *sorted(folder.glob(_PARTS)), *folder.glob(".*.partial")):
        with suppress(OSError):
            remove(file)
