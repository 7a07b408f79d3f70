"""Kill the long commands at random moments; report what came of it.

    python -m tests.faults.kills [--kills N] [--seed N]

After each kill the target must be the old one or the new one, whole, or missing where there was none; the next run must
succeed and leave no litter.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mirrorkit.publish.workshop import remove
from tests.faults.server import KILLED
from tests.faults.sweep import NONE, Server, Sweep

# Command -> the jobs that are it.
COMMANDS = {
    "finetune": ("finetune",),
    "export": ("export",),
    "encode": ("encode npy", "encode jsonl", "encode parquet"),
}
SIGKILL = -9


@dataclass
class Killed:
    """What came of the kills of one command."""

    found: Counter[str] = field(default_factory=Counter)  # what the target was after a kill, or that it came too late
    left: int = 0  # kills after which something lay beside the target, for the next run to remove
    problems: list[str] = field(default_factory=list)


def kill_at_random(server: Server, job: str, place: Path, kills: int, rng: random.Random) -> Killed:
    """Kill a job so many times, half of them where an older target is, half where there is none."""
    sweep = Sweep(server, job, place)
    killed, seconds, replaced = Killed(), _seconds(sweep), sweep.old
    for number in range(kills):
        sweep.reset()
        sweep.old = replaced
        if number % 2:
            remove(sweep.target)
            sweep.old = NONE
        after = rng.uniform(0, seconds)
        code, _, _ = server.ask(job, sweep.target, KILLED, int(after * 1e6), 0)
        where = f"{job}: killed after {after:.3f} s"
        state = sweep.check_target(where)
        killed.found[state if code == SIGKILL else "too late"] += 1
        killed.left += bool(sweep.litter())
        sweep.check_next(where)
    killed.problems = sweep.tally.problems
    return killed


def _seconds(sweep: Sweep) -> float:
    """Return how long the job takes when it is left alone."""
    sweep.reset()
    start = time.perf_counter()
    code, text, _ = sweep.server.ask(sweep.job, sweep.target, 0, 0, 0)
    assert code == 0, text
    return time.perf_counter() - start


def table(commands: dict[str, Killed]) -> str:
    """Return the result as a table in Markdown."""
    rows = [
        "| command | kills | old | new | too late | litter for the next run | problems |",
        "|---" + "|---:" * 6 + "|",
    ]
    for name, one in commands.items():
        states = " | ".join(str(one.found[state]) for state in ("old", "new", "too late"))
        rows.append(f"| `{name}` | {one.found.total()} | {states} | {one.left} | {len(one.problems)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    commands: dict[str, Killed] = {}
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name))
        try:
            for command, jobs in COMMANDS.items():
                whole = commands[command] = Killed()
                for number, job in enumerate(jobs):
                    each = arguments.kills // len(COMMANDS) // len(jobs) + (number == 0) * (
                        arguments.kills // len(COMMANDS) % len(jobs)
                    )
                    one = kill_at_random(server, job, Path(name) / f"{command}{number}", each, rng)
                    whole.found += one.found
                    whole.left += one.left
                    whole.problems += one.problems
                print(f"{command}: {dict(whole.found)}", *whole.problems, sep="\n  ", flush=True)
        finally:
            server.close()
    print(table(commands))
    return any(one.problems for one in commands.values())


if __name__ == "__main__":
    sys.exit(main())
