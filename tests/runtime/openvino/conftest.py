"""One bundle with goldens for all tests of the engine, and a cache folder of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle as the exporter makes it, fp32 and int8; do not write into it."""
    for package in ("torch", "onnxscript"):
        pytest.importorskip(package, reason="needs the export extra, to make what is run")
    from mirrorkit.exporter.pipeline import export

    folder = tmp_path_factory.mktemp("openvino") / "bundle"
    export(tiny, folder, precision=["fp32", "int8"], optimize=False)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the user's cache is in; nothing is in it yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bundle(made: Path, cache: Path) -> Path:
    return made
