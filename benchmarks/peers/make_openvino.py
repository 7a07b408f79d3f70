"""Convert an ONNX file to OpenVINO and quantise it with NNCF, as its own guide says (runs in .venv-openvino).

python make_openvino.py MODEL.onnx TOKENIZER.json TEXTS.json OUT   # OUT/fp32.xml, OUT/int8.xml
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
from tokenizers import Tokenizer

source, tokenizer_file, texts_file, out = sys.argv[1:]
tokenizer = Tokenizer.from_file(tokenizer_file)
tokenizer.enable_padding()
tokenizer.enable_truncation(128)
texts = json.loads(Path(texts_file).read_text(encoding="utf-8"))


def batch(rows: list[str]) -> dict[str, np.ndarray]:
    encodings = tokenizer.encode_batch(rows)
    return {
        "input_ids": np.array([e.ids for e in encodings], dtype=np.int64),
        "attention_mask": np.array([e.attention_mask for e in encodings], dtype=np.int64),
    }


batches = [batch(texts[start : start + 50]) for start in range(0, len(texts), 50)]
model = ov.convert_model(source)
ov.save_model(model, f"{out}/fp32.xml", compress_to_fp16=False)
quantised = nncf.quantize(model, nncf.Dataset(batches), model_type=nncf.ModelType.TRANSFORMER)
ov.save_model(quantised, f"{out}/int8.xml", compress_to_fp16=False)
