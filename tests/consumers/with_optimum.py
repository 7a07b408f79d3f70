"""Load a bundle with optimum's ORTModelForFeatureExtraction and pool its token vectors by hand."""

from __future__ import annotations

import sys
from importlib.metadata import version

import torch
from compare import compare, read_expected
from optimum.onnxruntime import ORTModelForFeatureExtraction
from transformers import AutoTokenizer

bundle, expected_file = sys.argv[1:]
texts, expected, pooling = read_expected(expected_file)
tokenizer = AutoTokenizer.from_pretrained(bundle)
model = ORTModelForFeatureExtraction.from_pretrained(bundle, subfolder="onnx", file_name="model.onnx")
encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
hidden = model(**encoded).last_hidden_state
mask = encoded["attention_mask"].unsqueeze(-1)
pooled = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)
vectors = torch.nn.functional.normalize(pooled, dim=-1).detach().numpy()
compare(f"optimum {version('optimum')}", vectors, expected)
