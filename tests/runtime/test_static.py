"""A static variant in numpy, against torch's embedding_bag."""

from __future__ import annotations

import numpy as np
import pytest

from mirrorkit.errors import BundleError
from mirrorkit.formats.table_file import TokenTable, rounded
from mirrorkit.runtime.static import BagRunner
from mirrorkit.text.ragged import Floats, RaggedIds, pad_batch

TOKENS, DIM = 50, 8


@pytest.fixture
def table() -> TokenTable:
    vectors = np.random.default_rng(1).normal(size=(TOKENS, DIM)).astype(np.float32)
    vectors[:2] = 0  # special tokens
    return rounded(vectors)


@pytest.fixture
def ids() -> RaggedIds:
    """Return 1,200 texts of no token to forty, none of them in order of length."""
    draw = np.random.default_rng(2)
    rows = [draw.integers(0, TOKENS, length).tolist() for length in draw.integers(0, 40, 1200)]
    return RaggedIds.from_blocks([[[], [0, 1], *rows]])


def expected(table: TokenTable, ids: RaggedIds, unpooled: int = 0) -> Floats:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    vectors = torch.from_numpy(table.codes).double() * torch.from_numpy(table.scales).double()[:, None]
    sums = torch.stack([vectors[ids[i][unpooled:].tolist()].sum(dim=0) for i in range(len(ids))])
    return np.asarray(torch.nn.functional.normalize(sums, eps=1e-12).float().numpy())


def encoded(table: TokenTable, ids: RaggedIds, unpooled: int = 0) -> Floats:
    vectors = np.full((len(ids), DIM), np.nan, dtype=np.float32)
    for rows, values in BagRunner(table).blocks(ids, unpooled):
        vectors[rows] = values
    return vectors


@pytest.mark.parametrize("unpooled", [0, 1, 3, 100])
def test_many_texts_get_the_vectors_that_torch_adds_up(table: TokenTable, ids: RaggedIds, unpooled: int) -> None:
    np.testing.assert_allclose(encoded(table, ids, unpooled), expected(table, ids, unpooled), atol=1e-6)


def test_a_padded_batch_gets_the_same(table: TokenTable, ids: RaggedIds) -> None:
    rows = np.arange(0, len(ids), 7)
    arrays = pad_batch(ids, rows, 5, 64)  # padding with a token that has a vector
    np.testing.assert_allclose(BagRunner(table).batch(*arrays), expected(table, ids)[rows], atol=1e-6)
    arrays = pad_batch(ids, rows, 5, unpooled=2)
    np.testing.assert_allclose(BagRunner(table).batch(*arrays), expected(table, ids, 2)[rows], atol=1e-6)


def test_a_text_without_tokens_has_no_direction(table: TokenTable, ids: RaggedIds) -> None:
    assert not encoded(table, ids)[:2].any()


def test_a_token_without_a_vector_is_told(table: TokenTable) -> None:
    ids = RaggedIds.from_blocks([[[1, TOKENS]]])
    with pytest.raises(BundleError, match="has no vector for a token of the tokenizer"):
        encoded(table, ids)


def test_ids_without_their_first_tokens() -> None:
    ids = RaggedIds.from_blocks([[[1, 2, 3], [], [4], [5, 6]]])
    for count in range(5):
        assert [ids.behind(count)[i].tolist() for i in range(4)] == [ids[i].tolist()[count:] for i in range(4)]
