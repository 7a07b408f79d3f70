"""Build export/cpp for the tests that run it, once a session for each preset, or say what is missing."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "export" / "cpp"
MINUTES = 60  # seconds each
_BUILT: dict[str, Path] = {}


def run(
    command: Sequence[str | Path], *, data: bytes | None = None, env: Mapping[str, str] | None = None, minutes: int = 10
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end; the caller looks at its exit code."""
    words = [str(word) for word in command]
    around = {**os.environ, **(env or {})}
    return subprocess.run(words, input=data, capture_output=True, env=around, timeout=minutes * MINUTES, check=False)


def succeed(
    command: Sequence[str | Path], *, data: bytes | None = None, env: Mapping[str, str] | None = None, minutes: int = 10
) -> bytes:
    """Run a command that must succeed and return what it prints."""
    done = run(command, data=data, env=env, minutes=minutes)
    said = (done.stdout[-4000:] + done.stderr[-4000:]).decode(errors="replace")
    assert done.returncode == 0, f"{command[0]}: exit code {done.returncode}\n{said}"
    return done.stdout


def _lacking(what: str) -> NoReturn:
    """Skip; fail where MIRRORKIT_CPP_REQUIRED says that everything is there."""
    if os.environ.get("MIRRORKIT_CPP_REQUIRED"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


def require_tools(*tools: str) -> Path:
    """Return the folder with ONNX Runtime's headers; skip where a tool or a header is missing."""
    for tool in ("cmake", "c++", *tools):
        if shutil.which(tool) is None:
            _lacking(tool)
    if run(["c++", "-E", "-x", "c++", "-"], data=b"#include <nlohmann/json.hpp>\n").returncode != 0:
        _lacking("nlohmann/json.hpp (nlohmann-json3-dev)")
    for folder in (os.environ.get("ORT_ROOT", ""), SOURCE / "build" / "onnxruntime", "/usr", "/usr/local"):
        if folder and any(Path(folder).glob("include/**/onnxruntime_c_api.h")):
            return Path(folder)
    _lacking("ONNX Runtime's headers: export/cpp/tools/fetch_ort_headers.sh, or ORT_ROOT")


def build(preset: str, tmp_path_factory: pytest.TempPathFactory, *tools: str) -> Path:
    """Return the folder where `preset` was built: temporary, or, to be kept, in MIRRORKIT_CPP_BUILD."""
    headers = require_tools(*tools)
    if preset not in _BUILT:
        kept = os.environ.get("MIRRORKIT_CPP_BUILD")
        folder = Path(kept) / preset if kept else tmp_path_factory.mktemp("cpp") / preset
        succeed(["cmake", "-S", SOURCE, "--preset", preset, "-B", folder, f"-DORT_ROOT={headers}"])
        succeed(["cmake", "--build", folder], minutes=15)  # as parallel as CMAKE_BUILD_PARALLEL_LEVEL says
        _BUILT[preset] = folder
    return _BUILT[preset]


def onnxruntime_library() -> Path:
    """Return the library inside the installed onnxruntime package."""
    package = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    found = sorted((Path(package.__file__).parent / "capi").glob("libonnxruntime.so*"))
    if not found:
        _lacking("an onnxruntime package with a libonnxruntime.so")
    return found[-1]


def framed(texts: Sequence[str]) -> bytes:
    """Return the texts as the program `token_ids` reads them."""
    return b"".join(struct.pack("<I", len(raw)) + raw for raw in (text.encode() for text in texts))


def token_ids(folder: Path, tokenizer: Path, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return the ids that the C++ tokenizer gives each text."""
    out = succeed([folder / "tests" / "token_ids", tokenizer, str(max_length)], data=framed(texts))
    numbers = memoryview(out).cast("i")
    result, at = [], 0
    while at < len(numbers):
        result.append(list(numbers[at + 1 : at + 1 + numbers[at]]))
        at += 1 + numbers[at]
    return result


def example(header: str, prefix: str) -> str:
    """Return the program in a header's first comment."""
    lines = (SOURCE / "include" / header).read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"{prefix}#include"))
    last = next(i for i, line in enumerate(lines) if line == f"{prefix}}}" and i > first)
    return "\n".join(line[len(prefix) :] for line in lines[first : last + 1]) + "\n"
