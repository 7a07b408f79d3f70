"""Lay a model folder out as the Hugging Face hub's cache does, for libraries that know models by their hub id alone.

python make_cache.py MODEL OUT   # OUT is for HF_HOME; the model is local/model
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

COMMIT = "0" * 40

source, out = map(Path, sys.argv[1:])
model = out / "hub" / "models--local--model"
shutil.copytree(source, model / "snapshots" / COMMIT)
(model / "refs").mkdir()
(model / "refs" / "main").write_text(COMMIT, encoding="ascii")
