"""What a figure is worthless without: processor, threads, load, versions, date, revision; and its work in numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mirrorkit.machine.facts import cpu_name, load_average, usable_cores, versions

_CPUS = Path("/sys/devices/system/cpu")
_PACKAGES = ("mirrorkit", "numpy", "tokenizers", "onnxruntime", "onnxruntime-gpu", "openvino", "torch", "transformers")
# What decides how fast matrices are multiplied, as Linux spells it.
_TELLING = ("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8")
_TELLING_ARM = ("asimd", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme")


def environment(threads: int) -> dict[str, Any]:
    """Return the machine and versions; what the system does not tell is None. No name of the host is in it."""
    return {
        "cpu": cpu_name(),
        "flags": cpu_flags(),
        "cores": usable_cores(),
        "threads": threads,
        "governor": governor(),
        "load_average": load_average(),
        "platform": sys.platform,
        "versions": versions(*_PACKAGES),
        "date": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "revision": revision(),
    }


def cpu_flags() -> list[str] | None:
    """Return those of the processor's features that decide the speed of matrix products."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    there = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), None)
    return None if there is None else [flag for flag in (*_TELLING, *_TELLING_ARM) if flag in there]


def governor() -> str | None:
    """Return what decides the clock of the first usable core."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    try:
        return (_CPUS / f"cpu{core}" / "cpufreq" / "scaling_governor").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def revision() -> str | None:
    """Return the git revision that mirrorkit runs from, with `-dirty` where files differ; None if it is installed."""
    home = Path(__file__).resolve().parents[3]
    if not (home / ".git").exists():
        return None
    command = ["git", "-C", str(home), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


def resident_bytes() -> int | None:
    """Return the resident memory of this process, in bytes; None where the system does not tell."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


# model type -> names of hidden size, layers, inner size; and the matrices of the inner part
_PLAIN = ("hidden_size", "num_hidden_layers", "intermediate_size", 2)
_SHAPES: dict[str, tuple[str, str, str, int]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet", "albert"), _PLAIN),
    "distilbert": ("dim", "n_layers", "hidden_dim", 2),
    "modernbert": ("hidden_size", "num_hidden_layers", "intermediate_size", 3),  # a gated one
}


def flops_per_token(config: Mapping[str, Any], length: int) -> float | None:
    """Return the floating-point operations in matrix products for one token of a text of `length` tokens.

    Two for every weight of the layers' matrices, and those of attention itself. None for an architecture whose
    matrices are not known here.
    """
    shape = _SHAPES.get(str(config.get("model_type")))
    if shape is None:
        return None
    sizes = [config.get(name) for name in shape[:3]]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return None
    hidden, layers, inner = (int(size) for size in sizes if size is not None)
    nearby = config.get("local_attention")
    if isinstance(nearby, int) and length > nearby:
        return None  # some layers look that far only
    return float(2 * layers * (4 * hidden**2 + shape[3] * hidden * inner) + 4 * layers * hidden * length)
