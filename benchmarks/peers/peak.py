"""What the speed of the peers is held against: the machine's fastest matrix product, and the work of a pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mirrorkit.bench.measure.processes import rotated, run_worker
from mirrorkit.formats.json_file import read_object

SIZES = (256, 384, 512, 768, 1024, 1536, 2048)  # the fastest is where a product just fits the caches


def measure_peak(threads: int, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Return the best fp32 GFLOP/s by who multiplied and size of the matrices; each size of a round in a new process.

    `seconds` are those of one size in one round.
    """
    peak: dict[str, dict[str, float]] = {}
    for number in range(rounds):
        for size in rotated(SIZES, number):
            job = {"task": "gemm", "threads": threads, "seconds": seconds, "sizes": [size]}
            for library, rate in run_worker(job, f"products of {size} x {size}").found.items():
                known = peak.setdefault(library, {})
                known[str(size)] = max(rate / 1e9, known.get(str(size), 0.0))
    return peak


def pass_gflop(bundle: Path, texts: Sequence[str]) -> float:
    """Return the floating-point work of one pass without any padding, in GFLOP: matrix products and attention."""
    from tokenizers import Tokenizer

    config = read_object(bundle / "config.json")
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    weights = layers * (4 * hidden**2 + 2 * hidden * config["intermediate_size"])
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]
    return float(sum(2 * weights * n + 4 * layers * hidden * n**2 for n in lengths)) / 1e9
