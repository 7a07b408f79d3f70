"""Run the blocks of docs/integrations.md whose libraries are there, as a reader would."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks, differences, run

BLOCKS = blocks(ROOT / "docs" / "integrations.md")
BUNDLE = os.environ.get("MIRRORKIT_BUNDLE")  # of all-MiniLM-L6-v2: what the page prints is what its vectors give


def library(block: Block) -> str:
    """Return the library that a block is about: the first that a Python block imports, or the command that is run."""
    found = re.search(r"^(?:from|import) (\w+)", block.code, re.MULTILINE)
    assert found or block.code.startswith("llm ")
    return found[1] if found else "llm"


@pytest.mark.skipif(BUNDLE is None, reason="MIRRORKIT_BUNDLE does not say where a bundle of all-MiniLM-L6-v2 is")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.number}-{library(block)}")
def test_a_block_runs_and_prints_what_the_page_says(block: Block, tmp_path: Path) -> None:
    name = library(block)
    if name == "mirrorkit":
        name = re.findall(r"mirrorkit\.integrations\.(\w+)", block.code)[0]
    pytest.importorskip(name, reason=f"needs {name}")
    shutil.copytree(str(BUNDLE), tmp_path / "my-bundle")
    programs = tmp_path / "programs"
    programs.mkdir()
    for program, line in {"python": "", "llm": "-m llm"}.items():
        (programs / program).write_text(f'#!/bin/sh\nexec {sys.executable} {line} "$@"\n', encoding="utf-8")
        (programs / program).chmod(0o755)
    around = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LLM_USER_PATH": str(tmp_path / "llm"),
        "HF_DATASETS_CACHE": str(tmp_path / "datasets"),
    }
    (printed,) = run([block], tmp_path, around)
    assert not differences(block, printed), differences(block, printed)[0]


def test_every_library_of_the_page_has_a_block() -> None:
    text = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    adapters = {file.stem for file in (ROOT / "mirrorkit" / "integrations").glob("*.py")} - {
        "__init__",
        "shared",
        "llm",
    }
    assert set(re.findall(r"mirrorkit\.integrations\.(\w+)", "".join(b.code for b in BLOCKS))) == adapters
    versions = re.findall(r"[a-z-]+ \d+\.\d+[.\d]*(?= \||,)", text)
    assert len(versions) == 13
