"""One encoder in a process of its own: its first vector, and texts a second by batch and length."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPES = ((1, 16), (1, 64), (32, 64), (256, 16), (256, 128))  # texts of a call, words of each
WORDS = [
    *("the", "of", "and", "in", "to", "was", "he", "is", "for", "on", "as"),
    *("with", "his", "that", "by", "at", "from", "her", "it", "she", "were", "an"),
]


@dataclass(frozen=True)
class Job:
    """Which encoder is measured, and for how long."""

    bundle: str
    variant: str
    device: str = "cuda"
    cuda_graphs: bool = False
    engine: str | None = None  # folder of a TensorRT engine
    seconds: float = 2.0  # for each shape


def measure(job: Job) -> dict[str, Any]:
    """Return seconds to the first vector, import included, calls a second, and the cosine to fp32 on the CPU."""
    began = time.perf_counter()
    from mirrorkit import Encoder, Tensorrt

    if job.engine:
        encoder = Encoder(job.bundle, tensorrt=Tensorrt(job.engine))
    else:
        encoder = Encoder(job.bundle, job.variant, job.device, cuda_graphs=job.cuda_graphs)
    encoder.encode([" ".join(WORDS[:8])])
    first = time.perf_counter() - began
    texts = [" ".join(WORDS[i % 7 : i % 7 + 3 + i % 12]) for i in range(64)]
    expected = Encoder(job.bundle, "fp32", "cpu").encode(texts)
    cosines = np.sum(encoder.encode(texts) * expected, axis=1)
    return {
        "variant": encoder.variant,
        "first_vector_seconds": first,
        "cosine_min": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "shapes": [_speed(encoder, rows, words, job.seconds) for rows, words in SHAPES],
    }


def _speed(encoder: Any, rows: int, words: int, seconds: float) -> dict[str, Any]:
    texts = [" ".join(WORDS[(i + j) % len(WORDS)] for j in range(words)) for i in range(rows)]
    for _ in range(3):  # kernels are chosen, and graphs captured
        encoder.encode(texts)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        encoder.encode(texts)
        times.append(time.perf_counter() - began)
    median = float(np.median(times))
    return {"texts": rows, "words": words, "calls": len(times), "median_ms": 1e3 * median, "per_second": rows / median}


if __name__ == "__main__":
    print(json.dumps(measure(Job(**json.loads(sys.argv[1])))))
