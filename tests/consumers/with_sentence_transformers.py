"""Load a bundle with sentence-transformers: `torch` from the safetensors, `onnx` from the graph."""

from __future__ import annotations

import sys

import sentence_transformers
from compare import compare, read_expected
from sentence_transformers import SentenceTransformer

backend, bundle, expected_file = sys.argv[1:]
texts, expected, _ = read_expected(expected_file)
settings = {"file_name": "model.onnx", "provider": "CPUExecutionProvider"} if backend == "onnx" else {}
model = SentenceTransformer(bundle, device="cpu", backend=backend, model_kwargs=settings, local_files_only=True)
name = f"sentence-transformers {sentence_transformers.__version__} {backend}"
compare(name, model.encode(texts), expected)
if backend == "onnx":
    settings["file_name"] = "model_quantized.onnx"
    model = SentenceTransformer(bundle, device="cpu", backend=backend, model_kwargs=settings, local_files_only=True)
    compare(name, model.encode(texts), read_expected(expected_file, "int8")[1], "int8")
