"""The standard streams made usable: where one is closed, and where its encoding cannot spell every text."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO


class ClosedOutput(io.TextIOWrapper):
    """What stands for a standard output that is closed: every text is refused, as by a full disk."""

    def __init__(self) -> None:
        read_only = os.open(os.devnull, os.O_RDONLY)
        super().__init__(io.BufferedWriter(io.FileIO(read_only, "w")), encoding="utf-8", line_buffering=True)


def open_standard_streams() -> None:
    """Put something in the place of a closed stream, and let every text be spelt; a second call changes nothing.

    What is written to a closed standard output is an OSError (EBADF), as the user would take a result for written that
    is nowhere; messages to a closed standard error are lost.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # or the next file opened would take the number, and the messages of libraries with it
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def output_is_closed() -> bool:
    """Tell whether there was no standard output when the command began, which only a user arranges."""
    return isinstance(sys.stdout, ClosedOutput)


def tell(line: str) -> None:
    """Print a line on standard error; where that takes nothing it is lost, as there is nowhere left to say so."""
    with suppress(OSError):
        print(line, file=sys.stderr)  # noqa: T201
    flush_messages()


def flush_messages() -> None:
    """Drop what standard error does not take, or the interpreter's own last flush would change the exit code."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _to_nowhere(sys.stderr)


def silence_output() -> None:
    """Let the interpreter's own last flush of standard output go nowhere, or it would complain once more."""
    _to_nowhere(sys.stdout)


def _to_nowhere(stream: TextIO) -> None:
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
