"""The fastest fp32 matrix product of this machine: what a model's speed is held against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mirrorkit.runtime.ort import open_graph

SIZES = (384, 512, 768, 1024, 1536)  # rows and columns: which is fastest differs by the caches and who multiplies


def gemm_peaks(threads: int, seconds: float, sizes: Sequence[int] = SIZES) -> dict[str, float]:
    """Return the best rate of fp32 matrix products by who multiplied, in operations a second.

    `seconds` are shared out over both and all `sizes`. numpy's threads are set by the environment of the process.
    """
    random = np.random.default_rng(0)
    session = open_graph(matmul_model(), threads=threads)
    best = {"numpy": 0.0, "onnxruntime": 0.0}
    for size in sizes:
        a, b = (random.random((size, size), dtype=np.float32) for _ in range(2))
        own: dict[str, Callable[[], Any]] = {
            "numpy": partial(np.matmul, a, b),
            "onnxruntime": partial(session.run, ["c"], {"a": a, "b": b}),
        }
        for name, multiply in own.items():
            best[name] = max(best[name], _best(multiply, size, seconds / len(own) / len(sizes)))
    return best


def _best(multiply: Callable[[], Any], size: int, seconds: float) -> float:
    multiply()
    best, end = 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < end:
        begin = time.perf_counter()
        multiply()
        best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best


def matmul_model() -> bytes:
    """Return an ONNX model c = a @ b in fp32, spelled in protobuf by hand: the onnx package need not be there."""
    tensor = _part(2, _part(1, _number(1, 1)))  # TypeProto.tensor_type.elem_type = FLOAT
    node = _part(1, b"a") + _part(1, b"b") + _part(2, b"c") + _part(4, b"MatMul")
    values = _part(11, _part(1, b"a") + tensor) + _part(11, _part(1, b"b") + tensor)
    graph = _part(1, node) + _part(2, b"gemm") + values + _part(12, _part(1, b"c") + tensor)
    return _number(1, 8) + _part(7, graph) + _part(8, _number(2, 13))  # IR version 8, operator set 13


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3, value])


def _part(field: int, content: bytes) -> bytes:
    assert len(content) < 128  # one byte tells the length
    return bytes([field << 3 | 2, len(content)]) + content
