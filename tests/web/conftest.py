"""What several of the web tests use: node, with the packages of export/node installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.conftest import ROOT

NODE, JS = ROOT / "export" / "node", ROOT / "export" / "js"


@pytest.fixture(scope="session")
def node() -> str:
    """Return the program; skips where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    stamp = NODE / "node_modules" / ".package-lock.json"  # npm writes it when it is done
    package = [*(JS / "src").iterdir(), JS / "package.json", NODE / "package-lock.json"]
    if not stamp.is_file() or max(file.stat().st_mtime for file in package) > stamp.stat().st_mtime:
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=NODE, check=True)
    return shutil.which("node") or ""
