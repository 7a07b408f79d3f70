"""Batches of similar length: nothing lost, nothing over budget, the cheapest cut, the same numbers as in one pass."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mirrorkit.text.ragged import Ints, RaggedIds, homogeneous_chunks, pad_batch, token_budget_batches


def lengths_like(count: int, longest: int, seed: int) -> Ints:
    return np.random.default_rng(seed).integers(1, longest + 1, count)


def test_ragged_ids_give_back_what_they_were_made_of() -> None:
    blocks = [[[5, 6, 7], []], [], [[8]]]
    ids = RaggedIds.from_blocks(blocks)
    assert len(ids) == 3
    assert [ids[i].tolist() for i in range(3)] == [[5, 6, 7], [], [8]]
    assert ids.lengths.tolist() == [3, 0, 1]
    nothing = RaggedIds.from_blocks([])
    assert (len(nothing), nothing.lengths.tolist()) == (0, [])


def test_a_padded_batch_has_its_tokens_left_and_a_mask_over_them() -> None:
    ids = RaggedIds.from_blocks([[[5, 6, 7], [8], [9, 9]]])
    input_ids, mask = pad_batch(ids, np.array([2, 0]), pad_id=1)
    assert input_ids.tolist() == [[9, 9, 1], [5, 6, 7]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert input_ids.dtype == mask.dtype == np.dtype("int64")
    assert [a.tolist() for a in pad_batch(ids, np.array([1]), pad_id=0, pad_to=3)] == [[[8, 0, 0]], [[1, 0, 0]]]


@pytest.mark.parametrize("pad_to", [None, 40])
@pytest.mark.parametrize("budget", [1, 40, 257, 100_000])
def test_batches_keep_to_their_budget(budget: int, pad_to: int | None) -> None:
    lengths = lengths_like(301, 40, seed=1)
    batches = list(token_budget_batches(lengths, budget, pad_to))
    assert sorted(np.concatenate(batches).tolist()) == list(range(301))
    for batch, following in itertools.pairwise([*batches, np.empty(0, dtype=np.int64)]):
        width = pad_to or lengths[batch].max()
        assert len(batch) == 1 or len(batch) * width <= budget
        if len(following):
            assert (len(batch) + 1) * width > budget  # one more would not have fitted
            assert lengths[batch].min() >= lengths[following].max()  # longest first


def test_no_texts_make_no_batches() -> None:
    assert list(token_budget_batches(np.empty(0, dtype=np.int64), 100)) == []


def test_texts_without_tokens_are_still_batched() -> None:
    assert [b.tolist() for b in token_budget_batches(np.zeros(3, dtype=np.int64), 2)] == [[0, 1], [2]]


def cost(chunks: list[Ints], lengths: Ints, overhead: int) -> int:
    return sum(len(chunk) * int(lengths[chunk].max()) + overhead for chunk in chunks)


def cheapest(lengths: Ints, overhead: int) -> int:
    """Try every way to cut the sorted rows."""
    order = np.argsort(lengths)
    every_cut = itertools.chain.from_iterable(
        itertools.combinations(range(1, len(order)), cuts) for cuts in range(len(order))
    )
    return min(cost(np.split(order, list(cuts)), lengths, overhead) for cuts in every_cut)


@pytest.mark.parametrize("overhead", [0, 3, 17, 64, 10_000])
@pytest.mark.parametrize("seed", range(4))
def test_chunks_are_the_cheapest_there_are(seed: int, overhead: int) -> None:
    lengths = lengths_like(10, 25, seed)
    chunks = homogeneous_chunks(lengths, overhead)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(10))
    assert cost(chunks, lengths, overhead) == cheapest(lengths, overhead)


def test_overhead_decides_how_many_chunks_there_are() -> None:
    lengths = lengths_like(400, 50, seed=2)
    counts = [len(homogeneous_chunks(lengths, overhead)) for overhead in (0, 64, 1_000_000)]
    assert counts[0] == len(np.unique(lengths)) > counts[1] > counts[2] == 1
