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
LIGHT = {"errors", "extras", "paths"}
TORCH = {"torch", "transformers", "safetensors"}

# A room is a module or package directly under mirrorkit. Each may import itself and these rooms, nothing else of
# mirrorkit. Rooms that are yet to be built stand here as well: the rule comes first.
MAY_IMPORT = {
    "errors": set[str](),
    "extras": {"errors"},
    "paths": {"errors"},
    "batching": set[str](),
    "environment": set[str](),
    "layout": {"errors"},
    "hub": {"errors", "paths"},
    "publish": {"errors"},
    "readers": LIGHT,
    "documentation": LIGHT,
    "console": {"errors"},
    "bundle": LIGHT | {"layout"},
    "profiles": LIGHT,
    "engines": LIGHT | {"bundle", "profiles"},
    "nvidia": LIGHT | {"engines"},
    "runtime": LIGHT | {"batching", "bundle", "engines", "layout", "nvidia", "profiles", "publish", "readers"},
    "verification": LIGHT | {"batching", "bundle", "environment", "layout", "runtime"},
    "bench": LIGHT
    | {
        "batching",
        "bundle",
        "device",
        "documentation",
        "environment",
        "evaluation",
        "hub",
        "model",
        "runtime",
        "verification",
    },
    "device": LIGHT,
    "backbone": LIGHT | {"layout"},
    "model": LIGHT | {"backbone", "batching", "hub", "layout"},
    "evaluation": LIGHT | {"bundle", "device", "hub", "model", "runtime"},
    "training": LIGHT
    | {"backbone", "batching", "device", "environment", "evaluation", "hub", "layout", "model", "publish", "readers"},
    "exporter": LIGHT
    | {
        "backbone",
        "batching",
        "bundle",
        "engines",
        "environment",
        "hub",
        "layout",
        "model",
        "nvidia",
        "profiles",
        "publish",
        "readers",
        "runtime",
        "verification",
    },
}
# What joins the rooms may import any of them.
ON_TOP = {"__init__", "__main__", "cli", "commands", "report", "demo"}
WITHOUT_TORCH = set(MAY_IMPORT) - {"device", "backbone", "model", "training", "exporter"}


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


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
    names = (name.split(".") for name in imported(file))
    return {parts[1] for parts in names if parts[0] == "mirrorkit" and parts[1] != "__version__"}


@pytest.mark.parametrize("file", modules(PACKAGE), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_every_module_keeps_to_its_rooms(file: Path) -> None:
    room = room_of(file)
    if room not in ON_TOP:
        assert room in MAY_IMPORT, f"{room} is a new room: say here what it may import"
        assert rooms_imported(file) - {room} <= MAY_IMPORT[room]
    packages = {name.partition(".")[0] for name in imported(file)}
    assert "benchmarks" not in packages
    if room in WITHOUT_TORCH | {"cli", "report"}:
        assert not packages & TORCH


def test_the_rules_have_no_circle() -> None:
    done: set[str] = set()
    while left := set(MAY_IMPORT) - done:
        ready = {room for room in left if MAY_IMPORT[room] <= done}
        assert ready, f"these rooms wait for one another: {sorted(left)}"
        done |= ready


def test_the_scan_sees_late_and_required_imports() -> None:
    assert "training" in rooms_imported(PACKAGE / "commands" / "finetune.py")
    assert "scipy.stats" in set(imported(PACKAGE / "evaluation" / "pairs.py"))
    assert "report" not in {room for f in modules(PACKAGE / "training") for room in rooms_imported(f)}


HEAVY = ["torch", "transformers", "onnxruntime", "onnx", "numpy", "scipy", "tokenizers", "huggingface_hub"]


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import mirrorkit; dir(mirrorkit); mirrorkit.__version__", [*HEAVY, "typer", "rich"]),
        ("from mirrorkit import Pooling, MirrorkitError", [*HEAVY, "typer", "rich"]),
        ("from mirrorkit.cli import app; app(['--help'], standalone_mode=False)", HEAVY),
        ("from mirrorkit.cli import app; app(['finetune', '--help'], standalone_mode=False)", HEAVY),
        ("from mirrorkit.cli import app; app(['engine', '--help'], standalone_mode=False)", [*HEAVY, "tensorrt_rtx"]),
        ("from mirrorkit.cli import app; app(['recipes', '--json'], standalone_mode=False)", HEAVY),
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
    for name in mirrorkit.__all__:
        assert getattr(mirrorkit, name) is not None
    assert set(mirrorkit.__all__) <= set(dir(mirrorkit))
