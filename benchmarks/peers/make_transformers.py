"""Export a model by transformers' own exporter with its fusions for ONNX Runtime on a CPU (runs in our environment).

python make_transformers.py MODEL OUT   # OUT/model.onnx, as it names it: token vectors; no pooling in the graph
"""

from __future__ import annotations

import sys

import torch
from transformers import AutoModel
from transformers.exporters import OnnxConfig, OnnxExporter

source, out = sys.argv[1:]
model = AutoModel.from_pretrained(source).eval()
ids = torch.randint(1000, 2000, (3, 11))
inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
exported = OnnxExporter().export(model, inputs, OnnxConfig(dynamic=True, ort_fusions="cpu"))
exported.save_pretrained(out)
