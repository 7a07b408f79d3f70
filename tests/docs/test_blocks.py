"""How the pages' code is found and its output compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Block, alike, differences, run


@pytest.mark.parametrize(
    ("wanted", "printed", "same"),
    [
        ("average 69.92", "average 70.40", True),
        ("average 69.92", "average 63.47", False),
        ("cosine 0.83", "cosine 0.80", True),
        ("cosine 0.83", "cosine 0.38", False),
        ("2,000 strings", "2,001 strings", False),
        ("10 steps in 22.1 s", "10 steps in 48 s", True),
        ("10 steps in 22.1 s", "11 steps in 22.1 s", False),
        ("off by 3e-07", "off by 2e-07", True),
        ("off by 3e-07", "off by 2", False),
        ("a table", "another table", False),
        ("int8 (2, 384)", "int8 (2, 256)", False),
    ],
)
def test_lines_are_compared_by_words_and_by_numbers(wanted: str, printed: str, same: bool) -> None:
    assert alike(wanted, printed) is same


def test_lines_must_come_in_their_order() -> None:
    block = Block("page.md", 0, "bash", "", "one\n…\ntwo\n")
    assert not differences(block, "zero\none\nmore\n two\n")
    assert differences(block, "two\none\n")


def test_a_block_that_fails_is_named(tmp_path: Path) -> None:
    these = [Block("p.md", 0, "bash", "x=1\n", None), Block("p.md", 1, "bash", "test $x = 2\n", None)]
    with pytest.raises(AssertionError, match=r"p\.md 1: exit code 1"):
        run(these, tmp_path, {})
