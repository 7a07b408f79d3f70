"""Collect the demo's sentences once and look at all of them."""

from __future__ import annotations

import builtins
import json
import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.documentation import MAX_WORDS, MIN_WORDS, collect_sentences
from mirrorkit.errors import MirrorkitError

COLLECT = "import json; from mirrorkit.documentation import collect_sentences; print(json.dumps(collect_sentences()))"


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return collect_sentences()


@pytest.fixture
def fake_stdlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an empty folder in the place of the standard library and hide the help topics."""
    real_import: Callable[..., Any] = builtins.__import__

    def without_topics(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pydoc_data"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_topics)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def test_there_are_enough_and_all_differ(sentences: list[str]) -> None:
    assert 5_000 <= len(sentences) <= 10_000
    assert len({sentence.lower() for sentence in sentences}) == len(sentences)


def test_they_read_as_sentences(sentences: list[str]) -> None:
    for sentence in sentences:
        assert MIN_WORDS <= len(sentence.split()) <= MAX_WORDS, sentence
        assert sentence[0].isupper(), sentence
        assert sentence.rstrip("\"')")[-1] in ".!?", sentence
        assert sentence == " ".join(sentence.split()), sentence
        assert sentence.isascii(), sentence


@pytest.mark.parametrize("code", [">>>", "``", "::", ":func:", "__", "()", "->", "==", "://", "{", "[", "def f("])
def test_no_code_is_left(sentences: list[str], code: str) -> None:
    assert [sentence for sentence in sentences if code in sentence] == []


def test_hash_seed_does_not_matter(sentences: list[str]) -> None:
    other_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    elsewhere = subprocess.run(
        [sys.executable, "-c", COLLECT],
        env={**os.environ, "PYTHONHASHSEED": other_seed},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(elsewhere.stdout) == sentences


def test_seed_picks_a_part_and_keeps_the_order(fake_stdlib: Path) -> None:
    for name in "cab":  # written out of order: the file system must not decide
        body = "\n".join(f"def f{n}():\n    'In file {name} this is number {n} of many.'" for n in range(100, 200))
        (fake_stdlib / f"{name}.py").write_text(body, encoding="utf-8")
    everything = [f"In file {name} this is number {n} of many." for name in "abc" for n in range(100, 200)]
    assert collect_sentences() == everything
    some, others = collect_sentences(50, seed=1), collect_sentences(50, seed=2)
    assert some == collect_sentences(50, seed=1)
    assert some != others
    assert [len(some), len(others)] == [50, 50]
    assert some == [sentence for sentence in everything if sentence in some]


def test_markup_goes_and_code_is_dropped(fake_stdlib: Path) -> None:
    filler = "\n".join(f"def f{n}():\n    'Return the {'very ' * n}last item of the list.'" for n in range(1, 30))
    filler += "\n".join(f"\ndef g{n}():\n    'Never use this on {n} items or more.'" for n in range(80))
    module = '''"""Frobnicate: Return *all* the ``items`` that :func:`keep` lets through, e.g. none.

    >>> keep(3)
    This is what the doctest would print here.

    An example is not the text that we want to have::

        But this is indented and it is not prose at all.

    * The first point is that lists are
      read across their lines.
    * The second one stands on its own.

    foo_bar(x, y) is what nobody would say in a letter.
    """
'''
    (fake_stdlib / "module.py").write_text(module + filler, encoding="utf-8")
    found = collect_sentences()
    assert found[:3] == [
        "Return all the items that keep lets through, for example, none.",
        "The first point is that lists are read across their lines.",
        "The second one stands on its own.",
    ]
    assert found[3] == "Return the very last item of the list."


def test_broken_sources_are_passed_over(fake_stdlib: Path) -> None:
    body = "\n".join(f"def f{n}():\n    'This one returns the number {n} to you.'" for n in range(120))
    (fake_stdlib / "good.py").write_text(body, encoding="utf-8")
    (fake_stdlib / "latin.py").write_bytes(b'"""Caf\xe9 is what this file would like to say to you."""\n')
    (fake_stdlib / "broken.py").write_text("def (:\n", encoding="utf-8")
    (fake_stdlib / "null.py").write_bytes(b"\x00\x01\x02")
    if os.name == "posix":
        (fake_stdlib / "dangling.py").symlink_to(fake_stdlib / "nowhere")
    (fake_stdlib / "test").mkdir()
    (fake_stdlib / "test" / "test_it.py").write_text('"""Nobody wants to read this in the corpus."""\n')
    assert len(collect_sentences()) == 120


def test_without_sources_the_error_says_so(fake_stdlib: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mirrorkit.documentation")
    with pytest.raises(MirrorkitError, match="found 0 sentences"):
        collect_sentences()
    assert "found 0 sentences" in caplog.text


def test_limit_must_be_positive() -> None:
    with pytest.raises(MirrorkitError, match="at least 1, got 0"):
        collect_sentences(limit=0)
