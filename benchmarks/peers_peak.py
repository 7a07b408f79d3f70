"""What the speed of the peers is held against: the machine's fastest matrix product, and the work of a pass."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import record as files
from benchmarks.processes import environment, rotated, run_json

GEMM = files.HERE / "gemm_worker.py"


def measure_peak(threads: int, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Return the best fp32 GFLOP/s of each library by size of the matrices, over all rounds."""
    peak: dict[str, dict[str, float]] = {}
    for number in range(rounds):
        for library in rotated(("torch", "onnxruntime"), number):
            command = [sys.executable, str(GEMM), library, str(threads), str(seconds)]
            found = run_json(command, f"GEMM {library}", environment(threads))
            known = peak.setdefault(library, {})
            sizes = {size: rate for size, rate in found.items() if size != "command_seconds"}
            known |= {size: max(rate, known.get(size, 0.0)) for size, rate in sizes.items()}
    return peak


def pass_gflop(bundle: Path, texts: Sequence[str]) -> float:
    """Return the floating-point work of one pass without any padding, in GFLOP: matrix products and attention."""
    from tokenizers import Tokenizer

    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    weights = layers * (4 * hidden**2 + 2 * hidden * config["intermediate_size"])
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]
    return float(sum(2 * weights * n + 4 * layers * hidden * n**2 for n in lengths)) / 1e9
