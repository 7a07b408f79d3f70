"""Run the README and the examples' page as a reader would: a fresh copy of the checkout, one shell, in order."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
from tests.docs.blocks import PAGES, ROOT, Block, blocks, differences, run

README, EXAMPLES = ROOT / "README.md", ROOT / "examples" / "README.md"
# Blocks that need what a machine may lack, and where they are tried instead.
ELSEWHERE = {
    "examples/README.md 3": "a C++ compiler and libmirrorkit: tests/cpp/test_example.py",
    "examples/README.md 4": "npm: tests/web/test_example.py",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what a clone of this checkout would hold, with its .venv, as after `make setup`."""
    if not (ROOT / ".venv" / "bin" / "mirrorkit").exists():
        pytest.skip("needs .venv, which `make setup` makes")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("needs a git checkout")
    copy = tmp_path_factory.mktemp("reader") / "mirrorkit"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # what was removed and not committed yet is gone
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


@pytest.fixture(scope="module")
def printed(checkout: Path) -> dict[Block, str]:
    """Return what each block of the two pages printed, run in order in one shell with the reader's own PATH."""
    these = [block for page in (README, EXAMPLES) for block in blocks(page) if block.name not in ELSEWHERE]
    # .venv knows the checkout that it was made in, which need not be this one.
    return dict(zip(these, run(these, checkout, {"PYTHONPATH": str(checkout)}), strict=True))


@pytest.mark.slow
def test_every_block_prints_what_the_page_says(printed: dict[Block, str]) -> None:
    complaints = [line for block, said in printed.items() for line in differences(block, said)]
    assert not complaints, "\n".join(complaints)


@pytest.mark.slow
def test_the_fine_tune_gained(printed: dict[Block, str]) -> None:
    first = next(iter(printed.values()))
    before, after = map(float, re.findall(r"MRR@10\D+(\d+\.\d+)", first))
    assert after > before + 5, first


@pytest.mark.slow
def test_nothing_of_the_checkout_was_changed(printed: dict[Block, str], checkout: Path) -> None:
    assert printed
    made = {path.name for path in checkout.iterdir()} - {path.name for path in ROOT.iterdir()}
    assert made <= {"held-out.jsonl", "my-encoder", "my-handbook-encoder", "my-bundle", "distinct.csv"}
    assert README.read_bytes() == (checkout / "README.md").read_bytes()


def test_every_output_belongs_to_a_block() -> None:
    """A block of output that stands alone would be compared with nothing."""
    for page in (README, EXAMPLES):
        written = page.read_text(encoding="utf-8").count("```text\n")
        assert written == sum(block.output is not None for block in blocks(page)), page.name


def test_what_is_tried_elsewhere_is_there() -> None:
    named = {block.name for page in PAGES for block in blocks(page)}
    assert set(ELSEWHERE) <= named
    assert all((ROOT / where.rsplit(" ", 1)[1]).is_file() for where in ELSEWHERE.values())


def test_the_commands_of_make_are_targets() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = README.read_text(encoding="utf-8")
    assert re.findall(r"^    make ([a-z-]+)", text, flags=re.MULTILINE) == ["demo", "test"]
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= set(targets)
