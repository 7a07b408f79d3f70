"""How much memory this process has, and how much more it can get."""

from __future__ import annotations

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def resident_bytes() -> int | None:
    """Return the memory that this process holds now; None where the system does not tell."""
    return _field(Path("/proc/self/status"), "VmRSS")


def free_bytes() -> int | None:
    """Return how much more this machine, or the container this process is in, can give; None where it is not told."""
    found = [
        limit
        for limit in (_field(Path("/proc/meminfo"), "MemAvailable"), _group_free(), _address_space())
        if limit is not None
    ]
    return min(found) if found else None


def _field(file: Path, name: str) -> int | None:
    try:
        for line in file.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _group_free() -> int | None:
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_GROUP / "memory.current").read_text(encoding="ascii"))
        reclaimable = dict(line.split() for line in (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return None if limit == "max" else max(0, int(limit) - used + int(reclaimable.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    size = _field(Path("/proc/self/status"), "VmSize")
    return None if limit == resource.RLIM_INFINITY or size is None else max(0, limit - size)
