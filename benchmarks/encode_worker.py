"""Time one encoder in a process of its own: `benchmarks.encode` starts a fresh one for each figure.

It runs in other libraries' environments too, so it is one file that needs nothing but the library it measures.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Encode = Callable[[list[str]], Any]  # texts -> float32 [n, dim], unit length


def ours(path: str, threads: int, variant: str) -> Encode:
    """Load a mirrorkit bundle."""
    from mirrorkit.runtime.encoder import Encoder

    encoder = Encoder(path, variant=variant, threads=threads)
    encode: Encode = encoder.encode
    return encode


def sentence_transformers_torch(path: str, threads: int, _: str) -> Encode:
    """Load a folder the way most people do."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(path, device="cpu")
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def sentence_transformers_onnx(path: str, threads: int, file: str) -> Encode:
    """Load a folder with sentence-transformers' own ONNX export of it."""
    import onnxruntime
    from sentence_transformers import SentenceTransformer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    settings = {"file_name": file, "session_options": options, "provider": "CPUExecutionProvider"}
    model = SentenceTransformer(path, device="cpu", backend="onnx", model_kwargs=settings)
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def openvino(path: str, threads: int, file: str) -> Encode:
    """Run an OpenVINO model of ours-with-pooling, in batches of 32 sorted by length, as the others do."""
    import numpy as np
    import openvino as ov
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(path) / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(128)
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    model = ov.Core().compile_model(file, "CPU", hints)
    port = model.output("sentence_embedding")

    def encode(texts: list[str]) -> Any:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        vectors = np.empty((len(texts), port.partial_shape[1].get_length()), dtype=np.float32)
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            encodings = tokenizer.encode_batch_fast([texts[i] for i in rows])
            ids = np.array([e.ids for e in encodings], dtype=np.int64)
            mask = np.array([e.attention_mask for e in encodings], dtype=np.int64)
            vectors[rows] = model({"input_ids": ids, "attention_mask": mask})[port]
        return vectors

    return encode


ENGINES: dict[str, Callable[[str, int, str], Encode]] = {
    "mirrorkit": ours,
    "sentence-transformers": sentence_transformers_torch,
    "sentence-transformers-onnx": sentence_transformers_onnx,
    "openvino": openvino,
}


def gemm_peak(threads: int, seconds: float = 2.0) -> float:
    """Return the best fp32 GFLOP/s of a large matrix product in this process."""
    import torch

    torch.set_num_threads(threads)
    n, best = 1536, 0.0
    a, b = torch.rand(n, n), torch.rand(n, n)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = max(best, 2 * n**3 / (time.perf_counter() - start) / 1e9)
    return best


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Load, warm up, then time passes over all texts and single calls with one short text."""
    if job["engine"] == "gemm":
        return {"gflops": gemm_peak(job["threads"])}
    start = time.perf_counter()
    encode = ENGINES[job["engine"]](job["path"], job["threads"], job["file"])
    loaded = time.perf_counter() - start
    texts: list[str] = json.loads(Path(job["texts"]).read_text(encoding="utf-8"))
    vectors = encode(texts)  # warm-up, and what is compared with the reference
    assert vectors.shape[0] == len(texts), f"{vectors.shape[0]} vectors for {len(texts)} texts"
    if job["vectors"]:
        vectors.tofile(job["vectors"])
    passes = [_seconds(encode, texts) for _ in range(job["passes"])]
    for _ in range(20):
        encode([job["short"]])
    calls = sorted(_seconds(encode, [job["short"]]) * 1e3 for _ in range(job["calls"]))
    return {
        "load_seconds": loaded,
        "sentences_per_second": [len(texts) / seconds for seconds in passes],
        "p50_ms": statistics.median(calls),
        "p90_ms": calls[int(0.9 * len(calls))],
        "peak_memory_bytes": _peak_memory(),
        "dim": int(vectors.shape[1]),
    }


def _seconds(encode: Encode, texts: list[str]) -> float:
    start = time.perf_counter()
    encode(texts)
    return time.perf_counter() - start


def _peak_memory() -> int | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = (row for row in status.read_text(encoding="ascii").splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    figures = measure(json.loads(sys.argv[1]))
    sys.stdout.flush()
    print(json.dumps(figures))
    sys.stdout.flush()
    os._exit(0)  # some libraries take a second, or crash, on the way out
