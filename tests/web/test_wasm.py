"""The WebAssembly that the npm package ships is small, and made of the C++ sources as they are now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.conftest import ROOT

WASM = ROOT / "export" / "js" / "wasm" / "tokenizer.wasm"
MOST_BYTES = 400_000


def test_it_is_made_of_the_sources_as_they_are() -> None:
    record = json.loads(WASM.with_name("tokenizer.wasm.json").read_text(encoding="utf-8"))
    assert {"export/cpp/src/tokenizer.cpp", "export/js/wasm/entry.cpp"} < record["made_from"].keys()
    changed = [name for name, sha256 in record["made_from"].items() if _sha256(ROOT / name) != sha256]
    assert not changed, f"changed since: {', '.join(changed)}; run export/js/wasm/build"
    assert record["sha256"] == _sha256(WASM), "another tokenizer.wasm than was built; run export/js/wasm/build"


def test_it_is_small() -> None:
    assert WASM.stat().st_size <= MOST_BYTES


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
