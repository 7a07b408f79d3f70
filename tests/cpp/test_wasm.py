"""The WebAssembly that the npm package ships comes out the same, byte for byte, where the same compiler makes it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cpp.building import ROOT, succeed

pytestmark = [pytest.mark.cpp, pytest.mark.slow]
WASM = ROOT / "export" / "js" / "wasm"
FILES = ("tokenizer.wasm", "tokenizer.wasm.json")


def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for tool in ("em++", "node"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    wanted = json.loads((WASM / FILES[1]).read_text(encoding="utf-8"))["made_with"]["emscripten"]
    found = re.findall(rb"\d+\.\d+\.\d+", succeed(["em++", "--version"]))[0].decode()
    if found != wanted:
        pytest.skip(f"it was made with emscripten {wanted}, here is {found}")
    succeed(["bash", WASM / "build", tmp_path], minutes=20)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (WASM / name).read_bytes(), name
