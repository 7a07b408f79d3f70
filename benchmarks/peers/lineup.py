"""Who takes part in `benchmarks.peers`: what each contestant runs in, what has to be made first, and who is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.contestants import (
    BARE,
    COMPILED,
    CTRANSLATE2,
    EMBED_ANYTHING,
    FASTEMBED,
    GENAI,
    GPU,
    LLAMA_CPP,
    OPENVINO,
    OPENVINO_RAW,
    OPTIMUM,
    OURS,
    OURS_BY_OPENVINO,
    OURS_BY_OPS,
    STATIC,
    TORCH,
    TORCH_GPU,
    TRANSFORMERS,
    TRANSFORMERS_OPENVINO,
    Contestant,
    LineUp,
    Sources,
)
from benchmarks.peers.quality import fingerprint
from benchmarks.processes import ProcessError, environment, run
from mirrorkit.formats.bundle import VARIANT_FILES, Bundle, read_bundle
from mirrorkit.machine.facts import usable_cores

PEERS = Path(__file__).parent
VENVS = ("optimum", "openvino", "genai", "fastembed", "model2vec", "ctranslate2", "llamacpp", "embedanything", "gpu")


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
        ("openvino", [*OPENVINO_RAW], _openvino_raw),
        ("openvino", OURS_BY_OPENVINO, _ours_by_openvino),
        ("genai", [*TRANSFORMERS_OPENVINO, GENAI], _genai),
        ("ctranslate2", [*CTRANSLATE2], _ctranslate2),
        ("llamacpp", [*LLAMA_CPP], _llama_cpp),
        ("embedanything", [EMBED_ANYTHING], _embed_anything),
        ("fastembed", [FASTEMBED], _fastembed),
        ("model2vec", [STATIC], _static),
    ]
    for venv, names, make in groups:
        if asked := [name for name in names if wanted(name)]:
            _add_group(found, sources, venv, asked, make)
    _add_of_our_environment(found, sources, wanted)
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


def _openvino_raw(sources: Sources, python: str) -> list[Contestant]:
    files_of = {row.file: row.artifacts for row in _openvino(sources, python)}
    found = []
    for name, (precision, stem) in OPENVINO_RAW.items():
        xml = next(file for file in files_of if Path(file).stem == stem)
        what = f"{precision}:{xml}"
        found.append(Contestant(name, "openvino-raw", python, str(sources.bundle), what, files_of[xml]))
    return found


def _genai(sources: Sources, python: str) -> list[Contestant]:
    weights = [sources.model / "model.safetensors"]
    folder = _made(sources, python, "make_genai.py", weights, [str(sources.model)])
    graph = folder / "openvino_model.xml"
    artifacts, path = (graph, graph.with_suffix(".bin")), str(sources.bundle)
    rows = [
        Contestant(name, "transformers-openvino", python, path, f"{precision}:{graph}", artifacts)
        for name, precision in TRANSFORMERS_OPENVINO.items()
    ]
    return [*rows, Contestant(GENAI, "openvino-genai", python, str(folder), artifacts=artifacts)]


def _ours_by_openvino(sources: Sources, python: str) -> list[Contestant]:
    bundle = read_bundle(sources.bundle)
    rows = []
    for name in OURS_BY_OPENVINO:
        variant = name.removeprefix("mirrorkit ")
        graph = "int8" if variant.endswith("int8") else "fp32"
        if graph in bundle.variants:
            artifacts = _graph(bundle, graph)
            rows.append(Contestant(name, "mirrorkit", python, str(bundle.folder), variant, artifacts))
    return rows


def _ctranslate2(sources: Sources, python: str) -> list[Contestant]:
    weights = [sources.model / "model.safetensors"]
    folder = _made(sources, python, "make_ctranslate2.py", weights, [str(sources.model)])
    return [
        Contestant(name, "ctranslate2", python, str(sources.bundle), f"{kind}:{folder}", (folder / "model.bin",))
        for name, kind in CTRANSLATE2.items()
    ]


def _llama_cpp(sources: Sources, python: str) -> list[Contestant]:
    folder = _made(sources, python, "make_gguf.py", [sources.model / "model.safetensors"], [str(sources.model)])
    rows = ((name, folder / f"{kind}.gguf") for name, kind in LLAMA_CPP.items())
    return [Contestant(name, "llama.cpp", python, str(sources.bundle), str(file), (file,)) for name, file in rows]


def _embed_anything(sources: Sources, python: str) -> list[Contestant]:
    weights = (sources.model / "model.safetensors",)
    home = _made(sources, python, "make_cache.py", weights, [str(sources.model)])
    return [Contestant(EMBED_ANYTHING, "embed-anything", python, str(sources.bundle), str(home), weights)]


def _add_of_our_environment(found: LineUp, sources: Sources, wanted: Callable[[str], bool]) -> None:
    """Add what runs in the environment of mirrorkit itself: torch.compile, and transformers' own exporter."""
    weights = (sources.model / "model.safetensors",)
    if wanted(COMPILED):
        row = Contestant(COMPILED, "torch-compile", sys.executable, str(sources.model), artifacts=weights)
        found.contestants.append(row)
    if wanted(TRANSFORMERS):
        try:
            folder = _made(sources, sys.executable, "make_transformers.py", weights, [str(sources.model)])
        except ProcessError as err:
            found.leave_out([TRANSFORMERS], f"failed: {err}")
            return
        graph, data = folder / "model.onnx", folder / "model.onnx.data"
        file, path = str(graph), str(sources.bundle)
        row = Contestant(TRANSFORMERS, "transformers-export", sys.executable, path, file, (graph, data))
        found.contestants.append(row)


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
    for name in filter(wanted, OURS_BY_OPS):
        _add_ours_by_ops(found, sources, bundle, name)
    if wanted(BARE):
        file = VARIANT_FILES["int8" if "int8" in bundle.variants else "fp32"]
        found.contestants.append(Contestant(BARE, "bare", sys.executable, str(bundle.folder), file, start_only=True))


def _add_ours_by_ops(found: LineUp, sources: Sources, bundle: Bundle, name: str) -> None:
    variant, engine = OURS_BY_OPS[name]
    if variant not in bundle.variants:
        found.leave_out([name], "not in the bundle")
    elif sources.ops is None:
        found.leave_out([name], "not built (export/cpp/ops/README.md; then --ops FILE)")
    else:
        row = Contestant(name, engine, sys.executable, str(bundle.folder), str(sources.ops))
        found.contestants.append(replace(row, artifacts=_graph(bundle, variant)))


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
    peers = (
        "nncf",
        "fastembed",
        "model2vec",
        "ctranslate2",
        "llama_cpp_python",
        "embed-anything",
        "embed_anything",
        "openvino-genai",
    )
    names = (*packages, *peers, "onnxruntime-gpu", "tokenizers", "numpy")
    code = (
        "import json\nfrom importlib.metadata import distributions\n"
        f"print(json.dumps({{d.name: d.version for d in distributions() if d.name in {names!r}}}))"
    )
    pythons = {venv: sources.python(venv) for venv in VENVS}
    there = {venv: python for venv, python in pythons.items() if python.exists()}
    return {venv: json.loads(run([str(p), "-c", code], venv, environment(1))) for venv, p in there.items()}
