"""The rows of `benchmarks.peers`: their names, and what each contestant is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import record as files
from mirrorkit.formats.bundle import VARIANT_FILES

TORCH = "sentence-transformers torch"
BARE = "bare onnxruntime + tokenizers"
OPTIMUM = {  # row -> engine and the file that it loads
    "sentence-transformers ONNX": ("sentence-transformers-onnx", "model.onnx"),
    "sentence-transformers ONNX O2": ("sentence-transformers-onnx", "model_O2.onnx"),
    "sentence-transformers ONNX O3": ("sentence-transformers-onnx", "model_O3.onnx"),
    "sentence-transformers qint8": ("sentence-transformers-onnx", "model_qint8_avx512_vnni.onnx"),
    "optimum ORTModel": ("optimum", "model.onnx"),
}
OPENVINO = {"OpenVINO fp32": "fp32", "OpenVINO int8": "int8"}
OPENVINO_RAW = {  # row -> precision that is multiplied in, and the model that is read
    "OpenVINO raw fp32": ("f32", "fp32"),
    "OpenVINO raw bf16": ("bf16", "fp32"),
    "OpenVINO raw int8": ("f32", "int8"),  # of what is not int8 in its graph
}
TRANSFORMERS_OPENVINO = {  # row -> precision that is multiplied in
    "transformers' OpenVINO exporter fp32": "f32",
    "transformers' OpenVINO exporter bf16": "bf16",
}
GENAI = "OpenVINO GenAI"
OURS_BY_OPENVINO = ("mirrorkit openvino-fp32", "mirrorkit openvino-bf16", "mirrorkit openvino-int8")
CTRANSLATE2 = {"CTranslate2 fp32": "float32", "CTranslate2 int8": "int8"}
LLAMA_CPP = {"llama.cpp f16": "f16", "llama.cpp q8_0": "q8_0"}
EMBED_ANYTHING, TRANSFORMERS = "EmbedAnything", "transformers.exporters"
COMPILED = "sentence-transformers torch.compile"
FASTEMBED, STATIC = "fastembed", "model2vec static"
TORCH_GPU = "sentence-transformers torch fp16, GPU"
GPU = {  # row -> provider
    "ONNX Runtime CUDA fp16": "CUDAExecutionProvider",
    "ONNX Runtime TensorRT fp16": "TensorrtExecutionProvider",
}
OURS = {f"mirrorkit {name}": name for name in VARIANT_FILES}
OURS_BY_OPS = {  # row -> variant that is read, and the engine
    "mirrorkit int8-fused by libmirrorkit_ops": ("int8-fused", "mirrorkit-ops"),
    "mirrorkit fp32-fused in bf16 by libmirrorkit_ops": ("fp32-fused", "mirrorkit-ops-bf16"),
}

ALL = (
    TORCH,
    COMPILED,
    *OPTIMUM,
    TRANSFORMERS,
    *OPENVINO,
    *OPENVINO_RAW,
    *TRANSFORMERS_OPENVINO,
    GENAI,
    *CTRANSLATE2,
    *LLAMA_CPP,
    EMBED_ANYTHING,
    FASTEMBED,
    STATIC,
    *OURS,
    *OURS_BY_OPS,
    *OURS_BY_OPENVINO,
    TORCH_GPU,
    *GPU,
    BARE,
)


@dataclass(frozen=True)
class Contestant:
    """One row of the table."""

    name: str
    engine: str  # a key of peers_worker.ENGINES
    python: str  # the interpreter of its environment
    path: str = ""  # the folder it loads
    file: str = ""  # the variant, or the model file in it
    artifacts: tuple[Path, ...] = ()  # the files with its weights, which its size is the sum of
    start_only: bool = False  # takes no part in the race, only in the table of starts


@dataclass
class LineUp:
    """Who races, and why the others do not."""

    contestants: list[Contestant] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)  # row -> reason

    def leave_out(self, names: Sequence[str], reason: str) -> None:
        """Note and say why rows are not measured."""
        print(f"{', '.join(names)}: {reason}", file=sys.stderr)
        self.absent |= dict.fromkeys(names, reason)


@dataclass(frozen=True)
class Sources:
    """What everything is made from and where it is put."""

    model: Path  # sentence-transformers folder
    bundle: Path
    texts: Path  # JSON list, for calibration
    work: Path  # what is made is kept here, under a name that changes with what it is made from
    venvs: Path = files.ROOT  # the folder of the .venv-*
    ops: Path | None = None  # libmirrorkit_ops

    def python(self, venv: str) -> Path:
        return self.venvs / f".venv-{venv}" / "bin" / "python"
