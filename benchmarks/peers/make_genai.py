"""Export a model by transformers' own OpenVINO exporter, and its tokenizer as a graph (runs in .venv-genai).

python make_genai.py MODEL OUT   # OUT/openvino_model.xml, of token vectors without pooling; OUT/openvino_tokenizer.xml
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import openvino as ov
import torch
from openvino_tokenizers import convert_tokenizer  # type: ignore[import-not-found]
from transformers import AutoModel, AutoTokenizer
from transformers.exporters import OpenVINOConfig, OpenVINOExporter

source, out = (Path(argument) for argument in sys.argv[1:])
model = AutoModel.from_pretrained(source, add_pooling_layer=False).eval()  # GenAI wants one output
ids = torch.randint(1000, 2000, (3, 11))
inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
OpenVINOExporter().export(model, inputs, OpenVINOConfig(dynamic=True)).save_pretrained(out)
(made,) = (file for file in out.rglob("*.xml"))  # whatever the exporter calls it, GenAI wants this name
for file in (made, made.with_suffix(".bin")):
    file.rename(out / f"openvino_model{file.suffix}")
ov.save_model(convert_tokenizer(AutoTokenizer.from_pretrained(source)), out / "openvino_tokenizer.xml")
for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
    shutil.copy(source / name, out / name)
