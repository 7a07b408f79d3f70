"""What several of the web tests use: node, with the packages of export/node installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.conftest import ROOT

NODE = ROOT / "export" / "node"


@pytest.fixture(scope="session")
def node() -> str:
    """Return the program; skips where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    if not (NODE / "node_modules" / ".package-lock.json").is_file():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=NODE, check=True)
    return shutil.which("node") or ""
