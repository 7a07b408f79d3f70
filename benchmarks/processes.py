"""Processes that measure: a fresh one for each figure, on stated threads, in an order that rotates."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mirrorkit.bench.measure.processes import environment_of, rotated
from mirrorkit.errors import MirrorkitError

Run = dict[str, Any]


class ProcessError(MirrorkitError):
    """A process that measures or prepares has failed; the message names it and has its last words."""


def environment(threads: int, **more: str) -> dict[str, str]:
    """Return the environment of a process of so many threads, offline; the caller's own limits do not count."""
    return environment_of(threads) | {"HF_HUB_OFFLINE": "1"} | more


def run(command: Sequence[str], what: str, env: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run a command and return what it printed; raise ProcessError with its last words when it fails."""
    done = subprocess.run(command, env=dict(env), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        raise ProcessError(f"{what}: exit code {done.returncode}: {last}")
    return done.stdout


def run_json(command: Sequence[str], what: str, env: Mapping[str, str], cwd: Path | None = None) -> Run:
    """Run a command that prints JSON, or whose last line is JSON; add the wall seconds from its start to its end."""
    start = time.perf_counter()
    printed = run(command, what, env, cwd)
    seconds = time.perf_counter() - start
    last = (printed.splitlines() or [""])[-1]
    for text in (printed, last):  # some libraries print before it
        try:
            figures: Run = json.loads(text)
        except ValueError:
            continue
        return figures | {"command_seconds": seconds}
    raise ProcessError(f"{what}: ended with {last!r} where JSON was wanted")


def race(
    names: Sequence[str], rounds: int, measure: Callable[[str], Run], tell: Callable[[Run], str]
) -> dict[str, list[Run]]:
    """Measure every one of `names` once a round, starting with another one each time."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for number in range(rounds):
        for name in rotated(names, number):
            figures = measure(name)
            runs[name].append(figures)
            print(f"round {number + 1} of {rounds}, {name}: {tell(figures)}", file=sys.stderr)
    return runs
