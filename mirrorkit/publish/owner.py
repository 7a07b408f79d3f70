"""Who is writing to a target: a process, its machine, and since when."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process that writes, as it records itself for the others."""

    pid: int
    host: str
    started: str  # when it began to write, local time
    ticks: int  # when the process itself began, in the kernel's own unit; 0 where that is not told

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.started}"

    def text(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    def may_live(self) -> bool:
        """Return False where that process is known to be gone; one of another machine may always live.

        A process id is soon given to another process, so the time at which the process began has to agree as well.
        """
        if self.host != platform.node():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            pass
        return not self.ticks or _ticks(self.pid) in (self.ticks, 0)


def this_process() -> Owner:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return Owner(os.getpid(), platform.node(), now, _ticks(os.getpid()))


def read_owner(text: str) -> Owner | None:
    """Return the owner that `text` records; None for anything else, such as the half of a record."""
    try:
        raw = json.loads(text)
        return Owner(int(raw["pid"]), str(raw["host"]), str(raw["started"]), int(raw["ticks"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _ticks(pid: int) -> int:
    try:
        # The name of the program, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
