"""Convert a model to GGUF by llama.cpp's own converter (runs in .venv-llamacpp), in f16 and in q8_0.

python make_gguf.py MODEL OUT   # OUT/f16.gguf, OUT/q8_0.gguf

The converter is no part of the wheel: `setup` unpacks it from the source archive of llama-cpp-python.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

source, out = sys.argv[1:]
converter = next((Path(sys.prefix) / "llama.cpp").rglob("convert_hf_to_gguf.py"))
for kind in ("f16", "q8_0"):
    file = Path(out) / f"{kind}.gguf"
    subprocess.run([sys.executable, str(converter), source, "--outfile", str(file), "--outtype", kind], check=True)
