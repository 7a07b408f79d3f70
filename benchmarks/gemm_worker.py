"""Find the fastest fp32 matrix product of one library: python gemm_worker.py torch|onnxruntime THREADS SECONDS.

Each library is asked in a process of its own, since two thread pools in one process get in each other's way. Square
matrices of several sizes: the fastest one is where a product just fits the caches.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SIZES = (256, 384, 512, 768, 1024, 1536, 2048)


def torch_product(n: int, threads: int) -> Callable[[], Any]:
    """Return a function that multiplies two matrices [n, n] with torch."""
    import torch

    torch.set_num_threads(threads)
    a, b, out = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)
    return lambda: torch.mm(a, b, out=out)


def onnxruntime_product(n: int, threads: int) -> Callable[[], Any]:
    """Return a function that multiplies a matrix [n, n] by a weight of the graph, as a model's layers do."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(1).random((n, n), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [n, n])],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [n, n])],
        [numpy_helper.from_array(weight, "b")],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["c"], {"a": weight})


PRODUCTS = {"torch": torch_product, "onnxruntime": onnxruntime_product}


def best(product: Callable[[], Any], n: int, seconds: float) -> float:
    """Return the best GFLOP/s of a product of two [n, n] matrices, after a warm-up of a quarter of the time."""
    found, begin = 0.0, time.perf_counter()
    while (now := time.perf_counter()) < begin + 1.25 * seconds:
        product()
        if now > begin + 0.25 * seconds:
            found = max(found, 2 * n**3 / (time.perf_counter() - now) / 1e9)
    return found


if __name__ == "__main__":
    library, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    print(json.dumps({str(n): best(PRODUCTS[library](n, threads), n, seconds) for n in SIZES}))
