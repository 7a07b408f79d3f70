"""Hold the modules to who may import whom, and the light ones to being light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mirrorkit

PACKAGE = Path(mirrorkit.__file__).parent
TORCH = {"torch", "transformers", "safetensors"}

# A room is a folder of the package, or a module at its top. Each may import itself, the rooms inside it, the room that
# it lies in, and the rooms named here: nothing else of mirrorkit. From the ground up.
BASE = {"correlation", "errors", "extras", "foreign", "paths", "progress"}
DATA = BASE | {"formats", "text"}
MAY_IMPORT = {
    "errors": set[str](),
    "foreign": {"errors"},
    "extras": {"errors", "foreign"},
    "paths": {"errors"},
    "publish": {"errors", "foreign", "paths"},
    "progress": set[str](),
    "correlation": set[str](),
    "assets": set[str](),
    "text": BASE,
    "formats": BASE | {"publish", "text"},
    "machine": BASE | {"formats"},
    "terminal": {"errors", "foreign", "formats", "progress"},
    "model": DATA | {"assets", "publish"},
    "runtime": DATA | {"machine", "publish"},
    "runtime.tensorrt": DATA | {"machine"},
    "runtime.openvino": DATA | {"machine", "publish"},
    "runtime.files": DATA | {"machine", "publish", "runtime.tensorrt"},
    "finding": DATA | {"publish", "runtime"},
    "integrations": DATA | {"publish", "runtime"},
    "serving": DATA | {"finding", "machine", "runtime"},
    "cluster": DATA | {"machine", "publish", "runtime", "runtime.files", "runtime.tensorrt"},
    "cluster.sinks": DATA | {"publish"},
    "verification": DATA | {"assets", "machine", "runtime", "runtime.openvino"},
    "evaluation": DATA | {"assets", "machine", "model", "runtime"},
    "adapting": DATA | {"evaluation", "machine", "publish", "runtime"},
    "training": DATA | {"evaluation", "machine", "model", "publish", "runtime"},
    "training.losses": DATA,
    "exporter": DATA | {"machine", "model", "publish", "runtime", "verification"},
    "exporter.graph": DATA | {"model", "runtime"},
    "exporter.quantize": DATA | {"assets", "exporter.graph", "runtime"},
    "exporter.adapter": DATA
    | {"exporter", "exporter.graph", "exporter.quantize", "model", "publish", "runtime", "verification"},
    "exporter.trim": DATA | {"assets", "exporter.quantize", "model", "verification"},
    "exporter.static": DATA
    | {"assets", "evaluation", "exporter", "exporter.graph", "exporter.quantize", "model", "runtime", "verification"},
    "exporter.tensorrt": DATA
    | {"exporter.graph", "exporter.quantize", "machine", "publish", "runtime", "runtime.tensorrt", "verification"},
    "exporter.triton": DATA | {"publish", "runtime"},
    "bench": DATA | {"evaluation", "publish", "runtime"},
    "bench.measure": DATA | {"assets", "evaluation", "machine", "model", "runtime", "runtime.openvino", "verification"},
    "bench.report": BASE,
    "bench.judge": DATA | {"assets", "bench.report"},
}
# What joins the rooms may import any of them.
ON_TOP = {"__init__", "__main__", "cli", "demo"}
WITH_TORCH = {"model", "training", "exporter", "demo"}


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def room_of(file: Path) -> str:
    *folders, name = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(folders) or name


def room_named(dotted: str) -> str:
    """Return the room that `mirrorkit.…` names: the deepest folder in it, or a module at the top."""
    folders: list[str] = []
    for part in dotted.split(".")[1:]:
        if not (PACKAGE.joinpath(*folders) / part).is_dir():
            return ".".join(folders) or part
        folders.append(part)
    return ".".join(folders)


def imported(file: Path) -> Iterator[str]:
    """Yield what `file` imports when it runs, late imports and `require` included, dotted."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
            (name,) = node.args
            assert isinstance(name, ast.Constant), f"{file}: require takes a literal, so that a reader can see it"
            yield str(name.value)


def rooms_imported(file: Path) -> set[str]:
    ours = {name for name in imported(file) if name.partition(".")[0] == "mirrorkit"}
    return {room_named(name) for name in ours} - {"", "__version__"}


def related(one: str, other: str) -> bool:
    """Tell whether one room is the other or lies in it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


@pytest.mark.parametrize("file", modules(PACKAGE), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_every_module_keeps_to_its_rooms(file: Path) -> None:
    room = room_of(file)
    if room not in ON_TOP:
        assert room in MAY_IMPORT, f"{room} is a new room: say here what it may import"
        foreign = {other for other in rooms_imported(file) if not related(room, other)}
        assert foreign <= MAY_IMPORT[room]
    packages = {name.partition(".")[0] for name in imported(file)}
    assert "benchmarks" not in packages
    if room.partition(".")[0] not in WITH_TORCH and file.name != "torch_device.py":
        assert not packages & TORCH


def test_every_room_of_the_rules_is_there() -> None:
    assert {room_of(file) for file in modules(PACKAGE)} - ON_TOP == set(MAY_IMPORT)
    assert len({file.stem for file in PACKAGE.glob("*.py")}) <= 9


def test_the_rules_have_no_circle() -> None:
    done: set[str] = set()
    while left := set(MAY_IMPORT) - done:
        ready = {room for room in left if MAY_IMPORT[room] <= done}
        assert ready, f"these rooms wait for one another: {sorted(left)}"
        done |= ready


def test_no_module_waits_for_itself() -> None:
    """Hold late imports to it as well: a circle that only shows when a function is called is still one."""
    files = {".".join(("mirrorkit", *f.relative_to(PACKAGE).with_suffix("").parts)): f for f in modules(PACKAGE)}
    wanted = {}
    for name, file in files.items():
        found = {part for each in imported(file) for part in (each, each.rpartition(".")[0]) if part in files}
        wanted[name] = found - {name}
    while wanted:
        ready = {name for name, needs in wanted.items() if not needs & set(wanted)}
        assert ready, f"these modules wait for one another: {sorted(wanted)}"
        wanted = {name: needs for name, needs in wanted.items() if name not in ready}


def test_the_scan_sees_late_and_required_imports() -> None:
    assert "training" in rooms_imported(PACKAGE / "cli" / "finetune.py")
    assert "pyarrow.parquet" in set(imported(PACKAGE / "text" / "rows.py"))
    assert "report" not in {room for f in modules(PACKAGE / "training") for room in rooms_imported(f)}


HEAVY = ["torch", "transformers", "onnxruntime", "onnx", "numpy", "scipy", "tokenizers", "huggingface_hub"]


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import mirrorkit; dir(mirrorkit); mirrorkit.__version__", [*HEAVY, "typer", "rich"]),
        ("from mirrorkit import Pooling, Progress, Tensorrt, MirrorkitError", [*HEAVY, "typer", "rich"]),
        ("from mirrorkit.cli.app import app; app(['--help'], standalone_mode=False)", HEAVY),
        ("from mirrorkit.cli.app import app; app(['finetune', '--help'], standalone_mode=False)", HEAVY),
        (
            "from mirrorkit.cli.app import app; app(['serve', '--help'], standalone_mode=False)",
            [*HEAVY, "starlette", "uvicorn", "orjson", "prometheus_client"],
        ),
        (
            "from mirrorkit.cli.app import app; app(['engine', '--help'], standalone_mode=False)",
            [*HEAVY, "tensorrt_rtx"],
        ),
        (
            "from mirrorkit.cli.app import app; app(['encode', '--help'], standalone_mode=False)",
            [*HEAVY, "pyarrow", "ray"],
        ),
        (
            "from mirrorkit.cli.app import app; app(['load', '--help'], standalone_mode=False)",
            [*HEAVY, "pyarrow", "faiss", "lancedb", "qdrant_client", "psycopg"],
        ),
        ("from mirrorkit.cli.app import app; app(['recipes', '--json'], standalone_mode=False)", HEAVY),
        ("from mirrorkit import evaluate_sts", ["torch", "transformers", "onnxruntime"]),
    ],
)
def test_light_things_load_nothing_heavy(statement: str, heavy: list[str]) -> None:
    code = f"{statement}\nimport json, sys; print(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"json", "mirrorkit"} <= loaded
    assert loaded.isdisjoint(heavy)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mirrorkit.nonsense  # noqa: B018  (looking it up is the point)


def test_every_public_name_can_be_had() -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    for name in mirrorkit.__all__:
        assert getattr(mirrorkit, name) is not None
    assert set(mirrorkit.__all__) <= set(dir(mirrorkit))
