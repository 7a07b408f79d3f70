"""What stands in for a Triton server: a reader of config.pbtxt and the module that its Python backend offers."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

_TOKEN = re.compile(r'(\w+)\s*(?:\{|:\s*("(?:[^"\\]|\\.)*"|-?\w+))|(\})')
REPEATED = {"input", "output", "instance_group", "dims", "profile", "step", "model_warmup"}
MAPS = {"parameters", "inputs", "input_map", "output_map"}


def read_pbtxt(text: str) -> dict[str, Any]:
    """Return the fields of a configuration, maps as dicts, the way Triton hands them to a Python model."""
    stack: list[dict[str, Any]] = [{}]
    end = 0
    for match in _TOKEN.finditer(text):
        assert not text[end : match.start()].strip(), f"not understood: {text[end : match.start()]!r}"
        end = match.end()
        name, value, closing = match.groups()
        if closing:
            stack.pop()
            continue
        inner: Any = {} if value is None else _value(value)
        if name in REPEATED | MAPS:
            stack[-1].setdefault(name, []).append(inner)
        else:
            assert name not in stack[-1], f"{name} stands twice"
            stack[-1][name] = inner
        if value is None:
            stack.append(inner)
    assert not text[end:].strip()
    assert len(stack) == 1, "brackets do not match"
    folded: dict[str, Any] = _fold(stack[0])
    return folded


def _value(text: str) -> Any:
    return json.loads(text) if text[0] == '"' or text.lstrip("-").isdigit() else text


def _fold(value: Any) -> Any:
    if isinstance(value, list):
        return [_fold(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: {item["key"]: _fold(item["value"]) for item in inner} if name in MAPS else _fold(inner)
        for name, inner in value.items()
    }


def configs(repository: Path) -> dict[str, dict[str, Any]]:
    """Return the configuration of each model of a repository."""
    return {f.parent.name: read_pbtxt(f.read_text(encoding="utf-8")) for f in sorted(repository.glob("*/config.pbtxt"))}


def model_config_schema() -> Any:
    """Return the generated module that says what a configuration may hold; skips the test where it is not installed.

    Loaded by itself: the package around it asks for grpc, and pins an older protobuf than the module is content with.
    """
    package = importlib.util.find_spec("tritonclient")
    if package is None or package.origin is None:
        pytest.skip("tritonclient is not installed")
    pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    return _module(Path(package.origin).parent / "grpc" / "model_config_pb2.py")


def _module(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"loaded_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Tensor:
    name: str
    values: Any

    def as_numpy(self) -> Any:
        return self.values


@dataclass
class Response:
    output_tensors: list[Tensor]
    error: str | None = None

    def arrays(self) -> dict[str, Any]:
        assert self.error is None
        return {tensor.name: tensor.values for tensor in self.output_tensors}


BACKEND = SimpleNamespace(
    Tensor=Tensor,
    InferenceResponse=Response,
    TritonError=str,
    get_input_tensor_by_name=lambda request, name: request[name],
    get_output_config_by_name=lambda config, name: next(o for o in config["output"] if o["name"] == name),
    triton_string_to_numpy=lambda kind: np.dtype(kind.removeprefix("TYPE_").lower()),
)


def request(*texts: str | bytes) -> dict[str, Tensor]:
    """Return a request of texts as they come from a client: bytes [batch, 1]."""
    rows = [[text.encode() if isinstance(text, str) else text] for text in texts]
    return {"text": Tensor("text", np.array(rows, dtype=object).reshape(len(rows), 1))}


def load_python_model(folder: Path, patch: pytest.MonkeyPatch) -> Any:
    """Return the model of a Python-backend folder as the server would make it ready."""
    patch.setitem(sys.modules, "triton_python_backend_utils", BACKEND)
    model = _module(folder / "1" / "model.py").TritonPythonModel()
    config = json.dumps(read_pbtxt((folder / "config.pbtxt").read_text(encoding="utf-8")))
    model.initialize({"model_config": config, "model_repository": str(folder), "model_version": "1"})
    return model
