"""Write what the server is to be tried with: a repository, and the vectors that it must give.

The servers that can be had as a Python package come without the ONNX Runtime backend. So the encoder's graph is run by
the Python backend here; its configuration is otherwise the one that was written.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np

from mirrorkit.exporter.triton import write_repository
from mirrorkit.runtime.encoder import Encoder

TEXTS = [
    *(f"sentence {n} of a few, " + "about the cat that sat on the mat " * (n % 9) for n in range(200)),
    "",
    "naïve café 日本語",
    "word " * 700,
]


def main(bundle: Path, work: Path) -> None:
    """Fill `work` with repository, texts.json and expected.npy."""
    repository = work / "repository"
    result = write_repository(bundle, repository, name="served", device="cpu", variant="fp32")
    np.save(work / "expected.npy", Encoder(bundle, result.variant, threads=1).encode(TEXTS))
    (work / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    encoder = repository / "served_encoder"
    config = (encoder / "config.pbtxt").read_text(encoding="utf-8")
    for line in ('platform: "onnxruntime_onnx"\n', 'default_model_filename: "model.onnx"\n'):
        if line not in config:
            raise SystemExit(f"config.pbtxt of the encoder has no line {line!r}")
        config = config.replace(line, "")
    (encoder / "config.pbtxt").write_text('backend: "python"\n' + config, encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("encoder_model.py"), encoder / "1" / "model.py")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
