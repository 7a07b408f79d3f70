"""Hold another library's vectors to ours. Runs in that library's environment: numpy alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

# Largest difference allowed in any component of a unit-length vector of 256 or more.
# int8 is held to our own int8 vectors, which do not depend on who batches how; the others to torch.
TOLERANCE = {"fp32": 2e-5, "fp16": 2e-3, "int8": 2e-3}


def read_expected(file: str, key: str = "vectors") -> tuple[list[str], Any, str]:
    """Return the texts, our vectors of them (from torch, or with `int8` from our runtime), and the pooling."""
    raw = json.loads(Path(file).read_text(encoding="utf-8"))
    return raw["texts"], np.array(raw[key], dtype=np.float32), raw["pooling"]


def compare(name: str, vectors: Any, expected: Any, precision: str = "fp32") -> None:
    """Print how far apart they are; exit with 1 where that is too far."""
    actual = np.asarray(vectors, dtype=np.float32)
    assert actual.shape == expected.shape, f"{name}: shape {actual.shape}, expected {expected.shape}"
    worst = float(np.abs(actual - expected).max())
    good = worst <= TOLERANCE[precision]  # False for NaN as well
    print(f"{'ok  ' if good else 'FAIL'} {name} {precision}: max abs {worst:.2e}, allowed {TOLERANCE[precision]:.0e}")
    if not good:
        sys.exit(1)
