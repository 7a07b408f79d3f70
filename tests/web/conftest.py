"""What several of the web tests use: node, with the packages of export/node installed; a bundle; a browser."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import mirrorkit
from tests.conftest import ROOT
from tests.web.chromium import Chromium, find_chromium
from tests.web.consumer import run
from tests.web.site import Site

NODE, JS = ROOT / "export" / "node", ROOT / "export" / "js"


@pytest.fixture(scope="session")
def node() -> str:
    """Return the program; skips where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    stamp = NODE / "node_modules" / ".package-lock.json"  # npm writes it when it is done
    package = [*(JS / "src").iterdir(), JS / "wasm" / "tokenizer.wasm", JS / "package.json", NODE / "package-lock.json"]
    if not stamp.is_file() or max(file.stat().st_mtime for file in package) > stamp.stat().st_mtime:
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=NODE, check=True)
    return shutil.which("node") or ""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of the shipped model in every precision; do not write into it."""
    pytest.importorskip("torch", reason="needs the export extra")
    folder = tmp_path_factory.mktemp("web") / "bundle"
    assert mirrorkit.export("tiny", folder, precision=["fp32", "fp16", "int8", "int4"]).ok
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Return a headless browser."""
    program = find_chromium()
    if program is None:
        pytest.skip("needs Chromium")
    with Chromium(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with nothing in it but the package, from its tarball, and what it runs with."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("package") / "consumer"
    shutil.copytree(Path(__file__).with_name("consumer"), folder, ignore=shutil.ignore_patterns("__*"))
    packed = run("npm", "pack", "--silent", "--pack-destination", folder, cwd=JS).strip().splitlines()[-1]
    (folder / packed).rename(folder / "mirrorkit-package.tgz")
    run("npm", "install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--silent", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def built(project: Path, bundle: Path) -> Iterator[Site]:
    """Serve that project as Vite builds it, with the bundle beside it."""
    release = tuple(map(int, run("node", "--version", cwd=project).lstrip("v").split(".")[:2]))
    if release < (20, 19):
        pytest.skip("Vite needs node 20.19 or later")
    run("npm", "run", "build", "--silent", cwd=project)
    (project / "dist" / "bundle").symlink_to(bundle)
    with Site(project / "dist") as site:
        yield site
