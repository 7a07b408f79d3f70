"""What several of the C++ tests use: the library built once, and where ONNX Runtime lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpp.building import build, onnxruntime_library


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built programs and libraries."""
    return build("tests", tmp_path_factory)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Return the variable that tells the programs which ONNX Runtime to open."""
    return {"MIRRORKIT_ONNXRUNTIME": str(onnxruntime_library())}
