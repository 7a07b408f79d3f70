"""Call libraries of others so that whatever they throw becomes one error of ours that names the file."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from mirrorkit.errors import MirrorkitError, first_line

_STDERR = threading.Lock()
_NO_MEMORY = (
    "allocate memory",
    "failed to allocate",
    "bad_alloc",
    "out of memory",
    "failed to map segment",  # of a library that is loaded
    "start new thread",  # whose stack is memory too
    "launch worker thread",
)


@contextmanager
def foreign(error: type[MirrorkitError], what: str) -> Iterator[None]:
    """Turn anything that a library throws in the block into `error`: `what` (the reason).

    Panics of Rust code come as BaseExceptions of no common base, so everything is caught but what asks to end.
    """
    try:
        yield
    except (MirrorkitError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as err:
        raise error(f"{what} ({reason(err)})") from err


def reason(err: BaseException) -> str:
    """Return in a few words why a library gave up."""
    if isinstance(err, MemoryError) or is_memory(err):
        return "out of memory"
    if isinstance(err, RecursionError):
        return "nested too deeply"
    line = first_line(err)
    return line if len(line) <= 500 else line[:500] + "…"


def is_memory(err: BaseException) -> bool:
    """Return whether an error says in words that no memory could be had, as other libraries and the loader do."""
    said = str(err).lower()
    return any(words in said for words in _NO_MEMORY)


@contextmanager
def without_panic_messages() -> Iterator[None]:
    """Keep Rust code from writing to standard error, past Python, that it panics; the error says it again.

    For loading alone: what other threads write there meanwhile is held back until the end of the block.
    """
    with _STDERR:
        try:
            descriptor = sys.__stderr__.fileno() if sys.__stderr__ else 2
            kept = os.dup(descriptor)
        except (OSError, ValueError):
            yield
            return
        try:
            with _nameless_file() as held:
                os.dup2(held.fileno(), descriptor)
                try:
                    yield
                finally:
                    os.dup2(kept, descriptor)
                    held.seek(0)
                    _pass_on(held.read(), kept)
        finally:
            os.close(kept)


def _nameless_file() -> BinaryIO:
    """Return a file that is gone once it is closed; in memory where the system has such files, so no disk is needed."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            return open(os.memfd_create("mirrorkit"), "w+b")  # noqa: PTH123
    import tempfile  # which loads every way to pack files, and random numbers

    return tempfile.TemporaryFile()  # type: ignore[return-value]  # all that is asked of it here


def _pass_on(text: bytes, descriptor: int) -> None:
    with suppress(OSError):
        if text and b"panicked at" not in text:
            os.write(descriptor, text)
