"""Let sentence-transformers export its own ONNX files of a model (runs in .venv-optimum).

python make_onnx.py MODEL OUT   # OUT/onnx/: model.onnx, optimised at O2 and at O3, and in dynamic int8 for AVX512-VNNI
"""

from __future__ import annotations

import sys

from sentence_transformers import (
    SentenceTransformer,
    export_dynamic_quantized_onnx_model,
    export_optimized_onnx_model,
)

source, out = sys.argv[1:]
model = SentenceTransformer(source, device="cpu", backend="onnx", model_kwargs={"export": True})
model.save_pretrained(out)
for level in ("O2", "O3"):
    export_optimized_onnx_model(model, level, out)
export_dynamic_quantized_onnx_model(model, "avx512_vnni", out)
