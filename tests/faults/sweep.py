"""Let every call that writes fail, and kill at every one, for each job that publishes; report what came of it.

    python -m tests.faults.sweep [--every N] [--job NAME] [--out FILE]

After each point the target must be the old one or the new one, whole; the next run must succeed and leave no litter.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirrorkit.errors import MirrorkitError
from mirrorkit.formats.vectors_record import beside, read_record
from tests.faults.server import OPENS

ROOT = Path(__file__).parents[2]
KINDS = ("write", "fsync", "rename", "unlink", "mkdir", "open")
KILL = -1
NONE = "none"
ACTIONS = {"kill": KILL, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
FAILS_WITH = {"write": ("kill", "ENOSPC", "EIO"), "open": ("kill", "ENOSPC"), "mkdir": ("kill", "ENOSPC")}


@dataclass
class Tally:
    """What came of the points of one job."""

    points: Counter[str] = field(default_factory=Counter)  # by kind of call
    problems: list[str] = field(default_factory=list)


class Server:
    """The process that runs jobs in forks of itself, with the failing disk preloaded."""

    def __init__(self, folder: Path, **environment: str) -> None:
        library = compiled(folder)
        env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "LD_PRELOAD": str(library)}
        env |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1", **environment}
        self.inputs = folder / "inputs"
        if not self.inputs.exists():
            make = [sys.executable, "-m", "tests.faults.server", "make", str(self.inputs)]
            subprocess.run(make, check=True, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server", "serve", str(self.inputs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=env,
        )
        self._receive()

    def ask(self, job: str, target: Path, kind: int, n: int, action: int) -> tuple[int, str, list[int]]:
        """Run a job with one call failing; returns exit code, standard error and the calls of each kind."""
        assert self._process.stdin is not None
        print(json.dumps([job, str(self.inputs), str(target), kind, n, action]), file=self._process.stdin, flush=True)
        code, text, seen = self._receive()
        return code, text, seen

    def opens(self, job: str, target: Path) -> bool:
        return self.ask(job, target, OPENS, 0, 0)[0] == 0

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server has ended"
        return json.loads(line)


def compiled(folder: Path) -> Path:
    library = folder / "faulty.so"
    source = Path(__file__).with_name("faulty.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def digest(path: Path) -> str:
    """Return what tells the content of a file or a folder."""
    if not path.exists():
        return NONE
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


class Sweep:
    """The points of one job."""

    def __init__(self, server: Server, job: str, place: Path) -> None:
        from tests.faults.jobs import JOBS

        self.server, self.job, self.place = server, job, place
        self.target = place / JOBS[job].target
        self.pristine = place.with_name(f"{place.name}-pristine")
        self.tally = Tally()
        self.reset()
        code, text, _ = server.ask(job, self.target, 0, 0, 0)
        assert code == 0, text
        shutil.copytree(place, self.pristine)
        self.old = digest(self.target)
        code, text, self.seen = server.ask(job, self.target, 0, 0, 0)  # now it overwrites
        assert code == 0, text
        assert self.litter() == []

    def points(self) -> Iterator[tuple[str, int, str]]:
        """Yield kind of call, number of the call, and what happens there."""
        for kind, count in zip(KINDS, self.seen, strict=True):
            for n in range(1, count + 1):
                for action in FAILS_WITH.get(kind, ("kill", "EIO")):
                    yield kind, n, action

    def check(self, kind: str, n: int, action: str) -> None:
        """Let one call fail and look at what is left, then at what the next run makes of it."""
        self.reset()
        code, text, _ = self.server.ask(self.job, self.target, KINDS.index(kind), n, ACTIONS[action])
        self.tally.points[f"{kind} {action}"] += 1
        where = f"{self.job}: {action} at {kind} {n}"
        if "Traceback" in text or (action != "kill" and code not in (0, 2)):
            self.problem(f"{where}: traceback or exit code {code}: {text[-600:]}")
        self.check_target(where)
        kept = [name for name in self.litter() if not name.endswith(".parts")]  # finished ones are, for `resume`
        if action != "kill" and kind != "unlink" and kept:
            self.problem(f"{where}: litter {kept}")
        self.check_next(where)

    def check_target(self, where: str) -> str:
        """Look whether the target is old or new, and which."""
        found = digest(self.target)
        if found == self.old:
            return "old"
        if self.server.opens(self.job, self.target):
            return "new"
        self.problem(f"{where}: {'lost' if found == NONE else 'broken'}")
        return "broken"

    def check_next(self, where: str) -> None:
        """Look at what the next run makes of what is there."""
        code, text, _ = self.server.ask(self.job, self.target, 0, 0, 0)
        if code or not self.server.opens(self.job, self.target):
            self.problem(f"{where}: the next run fails with {code}: {text[-600:]}")
        elif beside(self.target).exists():
            try:
                read_record(self.target)  # of these very vectors
            except MirrorkitError as err:
                self.problem(f"{where}: the next run leaves a stale record: {err}")
        if self.litter():
            self.problem(f"{where}: the next run leaves litter {self.litter()}")

    def problem(self, text: str) -> None:
        self.tally.problems.append(text)

    def litter(self) -> list[str]:
        return [path.name for path in self.place.iterdir() if path not in (self.target, beside(self.target))]

    def reset(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        if self.pristine.exists():
            shutil.copytree(self.pristine, self.place)
        else:
            self.place.mkdir()


def table(tallies: dict[str, Tally]) -> str:
    """Return the result as a table in Markdown."""
    rows = ["| job | " + " | ".join(KINDS) + " | points | problems |", "|---|" + "---:|" * (len(KINDS) + 2)]
    for job, tally in tallies.items():
        counts = [sum(c for name, c in tally.points.items() if name.startswith(f"{kind} ")) for kind in KINDS]
        cells = [*map(str, counts), str(sum(counts)), str(len(tally.problems))]
        rows.append(f"| {job} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> int:
    from tests.faults.jobs import JOBS

    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1, help="check one point of so many")
    parser.add_argument("--job", action="append", choices=list(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--two-steps", action="store_true", help="as on a system that cannot exchange two folders")
    arguments = parser.parse_args()
    tallies = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder, **({"FAULTY_NO_EXCHANGE": "1"} if arguments.two_steps else {}))
        try:
            for number, job in enumerate(arguments.job or JOBS):
                sweep = Sweep(server, job, folder / f"place{number}")
                points = list(sweep.points())
                chosen = random.Random(arguments.seed).sample(points, max(1, len(points) // arguments.every))
                for point in chosen:
                    sweep.check(*point)
                tallies[job] = sweep.tally
                print(f"{job}: {len(chosen)} of {len(points)} points", *sweep.tally.problems, sep="\n  ", flush=True)
        finally:
            server.close()
    print(table(tallies))
    return any(tally.problems for tally in tallies.values())


if __name__ == "__main__":
    sys.exit(main())
