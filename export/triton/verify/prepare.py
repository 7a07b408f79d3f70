"""Write what the server is to be tried with: a repository, and the vectors that it must give.

The servers that can be had as a Python package come without the ONNX Runtime backend. So the encoder's graph is run by
the Python backend here; its configuration is otherwise the one that was written.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np

from mirrorkit.exporter.triton.repository import write_repository
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
    config, _ = _without(config, r'platform: "(onnxruntime_onnx)"')
    config, graph = _without(config, r'default_model_filename: "(.+)"')
    parameter = f'parameters {{ key: "graph" value {{ string_value: "{graph}" }} }}'
    (encoder / "config.pbtxt").write_text(f'backend: "python"\n{config}{parameter}\n', encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("encoder_model.py"), encoder / "1" / "model.py")


def _without(config: str, line: str) -> tuple[str, str]:
    """Return the configuration without the line of that pattern, and the group in it."""
    found = re.search(f"^{line}\n", config, re.MULTILINE)
    if found is None:
        raise SystemExit(f"config.pbtxt of the encoder has no line {line}")
    return config.replace(found[0], ""), found[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
