"""The outermost layer of a command: whatever happens inside it ends with one line and a telling exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import typer

from mirrorkit.errors import MirrorkitError, first_line
from mirrorkit.foreign import is_memory
from mirrorkit.terminal.signals import StoppedError, stoppable
from mirrorkit.terminal.streams import flush_messages, open_standard_streams, output_is_closed, silence_output, tell

log = logging.getLogger(__name__)

EXIT_BAD_INPUT = 2
EXIT_BUG = 70  # what sysexits.h calls an internal software error
EXIT_PIPE = 141  # what a shell reports for a program whose reader has gone
# What printing fails with; writing files fails with errors that name the file.
_NOT_TAKEN = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)
_LONGEST = 2000  # characters of a line
_REPORT = "please report it with the command and the output of -vv"


@contextmanager
def boundary(words: Callable[[str], str] = str) -> Iterator[None]:
    """Turn every error in the block into one line on stderr, worded by `words`, and SystemExit with its code.

    A MirrorkitError, missing memory and a standard output that takes nothing are 2; a signal is 128 and its number; a
    bug of ours is 70.
    """
    open_standard_streams()
    try:
        with stoppable():
            yield
            _flush()
    except (typer.Exit, typer.Abort):
        raise
    except MirrorkitError as err:
        _end(words(" ".join(str(err).split())), EXIT_BAD_INPUT, err)
    except StoppedError as err:
        _end(f"{err}, nothing was written", err.exit_code, err)
    except KeyboardInterrupt as err:
        _end("interrupted, nothing was written", 130, err)
    except BrokenPipeError as err:  # whoever read the output has seen enough
        silence_output()
        raise SystemExit(EXIT_PIPE) from err
    except Exception as err:
        _end(*_told(err), err)


@contextmanager
def output_boundary() -> Iterator[None]:
    """Turn a standard output that takes nothing into one line, for what is printed outside of a command, as help is.

    Where the reader of a pipe has gone, click and rich leave with 1, which means something else here.
    """
    open_standard_streams()
    try:
        try:
            yield
        finally:
            flush_messages()
            _flush()
    except SystemExit as err:
        if isinstance(err.code, int) and _for_want_of_memory(err.__cause__):
            os._exit(err.code)  # libraries that were loaded in part crash where the interpreter tears them down
        if isinstance(err.__context__, OSError) and err.__context__.errno == errno.EPIPE:
            silence_output()
            raise SystemExit(EXIT_PIPE) from err
        raise
    except BrokenPipeError as err:
        silence_output()
        raise SystemExit(EXIT_PIPE) from err
    except OSError as err:
        _end(*_told(err), err)


def _for_want_of_memory(err: BaseException | None) -> bool:
    return isinstance(err, MemoryError) or (err is not None and is_memory(err))


def _told(err: Exception) -> tuple[str, int]:
    """Return the line and the exit code for what is no error of the library."""
    if _for_want_of_memory(err):
        return "out of memory; use smaller batches or shorter texts, or a machine with more", EXIT_BAD_INPUT
    if isinstance(err, RecursionError):
        return "something in the input is nested too deeply", EXIT_BAD_INPUT
    if isinstance(err, OSError) and err.filename is None and err.errno in _NOT_TAKEN:
        why = "it is closed" if output_is_closed() else err.strerror or err
        return f"standard output cannot be written ({why}); the requested files, if any, were written", EXIT_BAD_INPUT
    log.debug("unexpected error", exc_info=err)
    place = _place(err)
    return f"this is a bug in mirrorkit, {_REPORT}: {type(err).__name__}: {first_line(err)[:300]}{place}", EXIT_BUG


def _place(err: BaseException) -> str:
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})" if trace else ""  # noqa: PTH119


def _flush() -> None:
    with suppress(ValueError):
        sys.stdout.flush()


def _end(line: str, code: int, err: BaseException) -> None:
    if len(line) > _LONGEST:  # it may quote what a file holds
        line = f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 4 :]}"
    tell(f"mirrorkit: {line}")
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        raise SystemExit(code) from err
    silence_output()
    raise SystemExit(code) from err
