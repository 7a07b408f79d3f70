"""How many threads are worth having here."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "max 100000", or microseconds of CPU time per so many of the clock
_CPUS = Path("/sys/devices/system/cpu")


def default_threads() -> int:
    """Return the number of physical cores this process may use, no more than its container's CPU quota.

    Two threads on one core share its multipliers, and threads past a quota are all put to sleep together.
    """
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    cores = len({_siblings(cpu) for cpu in usable})
    return max(1, min(cores, _quota() or cores))


def _siblings(cpu: int) -> str:
    try:
        return (_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return str(cpu)  # not told: a core of its own


def _quota() -> int | None:
    try:
        allowed, period = _QUOTA.read_text(encoding="ascii").split()
        return None if allowed == "max" else -(-int(allowed) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
