"""Run a worker process: the same environment for every subject, one line for whatever goes wrong in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from mirrorkit.errors import MirrorkitError

T = TypeVar("T")

_WORKER = "mirrorkit.bench.measure.worker"
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


class WorkerError(MirrorkitError):
    """A process that measured a subject failed; the message says which and why."""


@dataclass(frozen=True)
class Outcome:
    """What a worker found, and the time from its start to its result, the interpreter's own start included."""

    found: dict[str, Any]
    seconds: float


def rotated(items: Sequence[T], number: int) -> list[T]:
    """Return the order of round `number`, counted from 0: each round begins with another of the items."""
    turn = number % len(items) if items else 0
    return [*items[turn:], *items[:turn]]


def run_worker(job: Mapping[str, Any], subject: str) -> Outcome:
    """Measure in a fresh process; `job["threads"]` holds for every library in it. Raises WorkerError.

    The process ends with this one: it watches its stdin, whose other end closes however this one ends.
    """
    line = json.dumps(dict(job)) + "\n"
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-m", _WORKER]
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603
            command, stdin=pipe, stdout=pipe, stderr=errors, env=_environment(job["threads"])
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it has ended already, and its stderr says why
                process.stdin.write(line.encode())
                process.stdin.flush()
            answer = process.stdout.readline()
            seconds = time.perf_counter() - begin
            code = process.wait()
        finally:
            process.kill()  # nothing, where it has ended
            process.wait()
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.close()
        if code != 0:
            raise WorkerError(f"{subject}: could not be measured: {_reason(code, errors)}")
    return Outcome(json.loads(answer), seconds)


def _reason(code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", errors="replace").strip().splitlines()
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ", perhaps because memory ran out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return lines[-1] if lines else f"its process ended with exit code {code} and no message"


def environment_of(threads: int) -> dict[str, str]:
    """Return the environment of a process of so many threads, whatever the caller's own limits are."""
    # Without TOKENIZERS_PARALLELISM tokenizers takes RAYON_NUM_THREADS.
    inherited = {key: value for key, value in os.environ.items() if key != "TOKENIZERS_PARALLELISM"}
    return {**inherited, **dict.fromkeys(_THREADS, str(threads))}


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)  # so that it imports what we have imported
    return {**environment_of(threads), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
