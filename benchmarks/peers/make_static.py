"""Distil a model into static token vectors with model2vec, at its defaults (runs in .venv-model2vec).

python make_static.py MODEL OUT   # OUT/model.safetensors: 256 dimensions by PCA, weighted by SIF over Zipf's law
"""

from __future__ import annotations

import sys

from model2vec.distill import distill  # type: ignore[import-not-found]

source, out = sys.argv[1:]
distill(source, device="cpu").save_pretrained(out)
