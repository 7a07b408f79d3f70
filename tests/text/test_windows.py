"""Texts of more tokens than a model takes, in windows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="needs the onnx extra")

from mirrorkit.assets.paths import TINY
from mirrorkit.errors import ConfigError
from mirrorkit.text.tokenizer import Tokenizer
from mirrorkit.text.windows import Windows, windows_of

LENGTH = 16
TEXT = (
    "The committee met on Tuesday to discuss the budget of the next year, and it decided that the library stays open."
)
TEXTS = ["", "short", TEXT, "[SEP] in a text [SEP]", TEXT * 30, "Zürich 数据库 \U0001f600 " * 40, "\ud800 broken " * 30]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TINY / "tokenizer.json", LENGTH)


@pytest.fixture(scope="module")
def uncut() -> Tokenizer:
    return Tokenizer(TINY / "tokenizer.json", 100_000)


@pytest.mark.parametrize("prompt", ["", "query: "])
def test_every_token_is_in_a_window(tokenizer: Tokenizer, uncut: Tokenizer, prompt: str) -> None:
    found, whole = tokenizer.windows(TEXTS, prompt), uncut.ids(TEXTS, prompt)
    lead = max(1, uncut.prompt_length(prompt))
    for text in range(len(TEXTS)):
        rows = [found.ids[i].tolist() for i in np.flatnonzero(found.owners == text).tolist()]
        ids = whole[text].tolist()
        assert all(row[:lead] == ids[:lead] and row[-1] == ids[-1] for row in rows)
        assert all(len(row) == LENGTH for row in rows) or (len(rows) == 1 and rows[0] == ids)
        body, parts = ids[lead:-1], [row[lead:-1] for row in rows]
        room = LENGTH - lead - 1
        assert len(parts) == max(1, -(-len(body) // room))
        starts = np.linspace(0, max(0, len(body) - room), len(parts)).round().astype(int)
        assert parts == [body[start : start + room] for start in starts]


def test_windows_are_full_and_evenly_spread() -> None:
    found = windows_of([[101, *range(50), 102]], 1, 1, 18)
    bodies = [found.ids[i][1:-1].tolist() for i in range(len(found.ids))]
    assert [(body[0], body[-1]) for body in bodies] == [(0, 15), (11, 26), (23, 38), (34, 49)]
    assert found.weights.tolist() == [16] * 4
    exact = windows_of([[101, *range(32), 102]], 1, 1, 18)
    assert [exact.ids[i][1:-1].tolist() for i in range(2)] == [list(range(16)), list(range(16, 32))]


def test_a_prompt_without_room_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match=r"prompt 'a a .*leaves no room for a text among 16 tokens"):
        tokenizer.windows(["text"], "a " * 20)


def test_which_texts_are_cut(tokenizer: Tokenizer, uncut: Tokenizer) -> None:
    exact = next(t for n in range(100) if len(uncut.ids_of(t := "a " * n)) == LENGTH)
    texts = [*TEXTS, exact, exact + "a", "word " * 50_000, TEXT]
    long = [i for i, length in enumerate(uncut.ids(texts).lengths) if length > LENGTH]
    assert tokenizer.told_ids(texts).cut == long
    assert [i for i, text in enumerate(texts) if tokenizer.told_ids_of(text)[1]] == long


def test_the_mean_is_by_tokens_and_keeps_lengths() -> None:
    draw = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    vectors = draw / np.linalg.norm(draw, axis=1, keepdims=True)
    ids = windows_of([[1, 2]] * 4, 1, 1, 3).ids
    joined = Windows(ids, np.array([0, 1, 1, 2]), np.array([5, 3, 1, 1])).joined(vectors)
    assert np.array_equal(joined[[0, 2]], vectors[[0, 3]])
    expected = 3 * vectors[1] + vectors[2]
    np.testing.assert_allclose(joined[1], expected / np.linalg.norm(expected), atol=1e-6)
    twice = Windows(ids, np.array([0, 1, 1, 2]), np.array([5, 3, 1, 1])).joined(2 * vectors)
    np.testing.assert_allclose(twice, 2 * joined, atol=1e-6)
