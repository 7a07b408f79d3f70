"""Who takes part in `benchmarks.peers`: what each contestant runs in, what has to be made first, and who is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import record as files
from benchmarks.peers.quality import fingerprint
from benchmarks.processes import ProcessError, environment, run
from mirrorkit.formats.bundle import VARIANT_FILES, Bundle, read_bundle
from mirrorkit.machine.facts import usable_cores

PEERS = Path(__file__).parent
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
FASTEMBED, STATIC = "fastembed", "model2vec static"
TORCH_GPU = "sentence-transformers torch fp16, GPU"
GPU = {  # row -> provider
    "ONNX Runtime CUDA fp16": "CUDAExecutionProvider",
    "ONNX Runtime TensorRT fp16": "TensorrtExecutionProvider",
}
OURS = {f"mirrorkit {name}": name for name in VARIANT_FILES}


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

    def python(self, venv: str) -> Path:
        return self.venvs / f".venv-{venv}" / "bin" / "python"


def line_up(sources: Sources, wanted: Callable[[str], bool], gpu: str | None) -> LineUp:
    """Return the contestants of which `wanted(name)` holds, making what they load."""
    found = LineUp()
    if wanted(TORCH):
        weights = (sources.model / "model.safetensors",)
        row = Contestant(TORCH, "sentence-transformers", sys.executable, str(sources.model), artifacts=weights)
        found.contestants.append(row)
    groups: list[tuple[str, Sequence[str], Callable[[Sources, str], list[Contestant]]]] = [
        ("optimum", [*OPTIMUM], _optimum),
        ("openvino", [*OPENVINO], _openvino),
        ("fastembed", [FASTEMBED], _fastembed),
        ("model2vec", [STATIC], _static),
    ]
    for venv, names, make in groups:
        if asked := [name for name in names if wanted(name)]:
            _add_group(found, sources, venv, asked, make)
    _add_ours(found, sources, wanted)
    _add_gpu(found, sources, wanted, gpu)
    return found


def _add_group(
    found: LineUp, sources: Sources, venv: str, names: list[str], make: Callable[[Sources, str], list[Contestant]]
) -> None:
    python = sources.python(venv)
    if not python.exists():
        found.leave_out(names, f"not set up (bash benchmarks/peers/setup {venv})")
        return
    try:
        found.contestants += [row for row in make(sources, str(python)) if row.name in names]
    except ProcessError as err:
        found.leave_out(names, f"failed: {err}")


def _optimum(sources: Sources, python: str) -> list[Contestant]:
    folder = _made(sources, python, "make_onnx.py", [sources.model / "model.safetensors"], [str(sources.model)])
    return [
        Contestant(name, engine, python, str(folder), file, (folder / "onnx" / file,))
        for name, (engine, file) in OPTIMUM.items()
    ]


def _openvino(sources: Sources, python: str) -> list[Contestant]:
    bundle = sources.bundle
    graph, tokenizer = bundle / VARIANT_FILES["fp32"], bundle / "tokenizer.json"
    inputs = [graph, tokenizer, sources.texts]
    folder = _made(sources, python, "make_openvino.py", inputs, [str(file) for file in inputs])
    return [
        Contestant(name, "openvino", python, str(bundle), str(xml), (xml, xml.with_suffix(".bin")))
        for name, xml in ((name, folder / f"{stem}.xml") for name, stem in OPENVINO.items())
    ]


def _fastembed(sources: Sources, python: str) -> list[Contestant]:
    file = VARIANT_FILES["fp32"]
    return [Contestant(FASTEMBED, "fastembed", python, str(sources.bundle), file, (sources.bundle / file,))]


def _static(sources: Sources, python: str) -> list[Contestant]:
    folder = _made(sources, python, "make_static.py", [sources.model / "model.safetensors"], [str(sources.model)])
    return [Contestant(STATIC, "model2vec", python, str(folder), artifacts=(folder / "model.safetensors",))]


def _made(sources: Sources, python: str, script: str, inputs: Sequence[Path], arguments: Sequence[str]) -> Path:
    program = PEERS / script
    mark = fingerprint([*inputs, program, PEERS / "setup"])
    folder = sources.work / f"{program.stem.removeprefix('make_')}-{mark}"
    if not folder.is_dir():
        draft = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        print(f"{script}: making {folder.name}", file=sys.stderr)
        run([python, str(program), *arguments, str(draft)], script, environment(usable_cores()))
        draft.rename(folder)
    return folder


def _add_ours(found: LineUp, sources: Sources, wanted: Callable[[str], bool]) -> None:
    bundle = read_bundle(sources.bundle)
    for name, variant in OURS.items():
        if not wanted(name):
            continue
        if variant not in bundle.variants:
            found.leave_out([name], "not in the bundle")
            continue
        # By its file, since `fp32` stands for the fused graph where there is one.
        row = Contestant(
            name, "mirrorkit", sys.executable, str(bundle.folder), VARIANT_FILES[variant], _graph(bundle, variant)
        )
        found.contestants.append(row)
    if wanted(BARE):
        file = VARIANT_FILES["int8" if "int8" in bundle.variants else "fp32"]
        found.contestants.append(Contestant(BARE, "bare", sys.executable, str(bundle.folder), file, start_only=True))


def _graph(bundle: Bundle, variant: str) -> tuple[Path, ...]:
    chosen = bundle.variants[variant]
    return tuple(bundle.folder / file for file in (chosen.file, *chosen.data_files))


def _add_gpu(found: LineUp, sources: Sources, wanted: Callable[[str], bool], gpu: str | None) -> None:
    names = [name for name in (TORCH_GPU, *GPU) if wanted(name)]
    if not names:
        return
    if gpu is None:
        found.leave_out(names, "not run: no NVIDIA GPU here")
        return
    if TORCH_GPU in names:
        weights = (sources.model / "model.safetensors",)
        found.contestants.append(
            Contestant(TORCH_GPU, "sentence-transformers-cuda", sys.executable, str(sources.model), artifacts=weights)
        )
    if graphs := [name for name in names if name in GPU]:
        _add_group(found, sources, "gpu", graphs, _onnxruntime_gpu)


def _onnxruntime_gpu(sources: Sources, python: str) -> list[Contestant]:
    file = VARIANT_FILES["fp16"]
    return [
        Contestant(name, "onnxruntime-gpu", python, str(sources.bundle), f"{provider}:{file}", (sources.bundle / file,))
        for name, provider in GPU.items()
    ]


def gpu_name() -> str | None:
    """Return what nvidia-smi calls the first GPU; None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


def peer_versions(sources: Sources) -> dict[str, dict[str, str]]:
    """Return what is installed in each of the other environments, of the packages that decide."""
    packages = ("sentence-transformers", "optimum-onnx", "optimum", "transformers", "torch", "onnxruntime", "openvino")
    names = (*packages, "nncf", "fastembed", "model2vec", "onnxruntime-gpu", "tokenizers", "numpy")
    code = (
        "import json\nfrom importlib.metadata import distributions\n"
        f"print(json.dumps({{d.name: d.version for d in distributions() if d.name in {names!r}}}))"
    )
    pythons = {venv: sources.python(venv) for venv in ("optimum", "openvino", "fastembed", "model2vec", "gpu")}
    there = {venv: python for venv, python in pythons.items() if python.exists()}
    return {venv: json.loads(run([str(p), "-c", code], venv, environment(1))) for venv, p in there.items()}
