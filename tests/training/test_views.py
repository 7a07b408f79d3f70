"""The span mask: where it falls, what it leaves alone, what the tokenizer makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.text.ragged import RaggedIds
from mirrorkit.text.scripts import is_unspaced
from mirrorkit.training.views import mask_pieces, mask_spans, shuffle_words, which_are_shuffled


def masked(
    texts: list[str], *, width: int = 5, shortest: int = 30, seed: int = 1, mask_token: str = "[M]"
) -> list[str]:
    rng = np.random.default_rng(seed)
    return list(mask_spans(texts, width=width, shortest=shortest, mask_token=mask_token, rng=rng))


def test_it_hides_the_sampled_place_and_not_the_first_like_it() -> None:
    """A text that repeats itself is cut where the number fell, though the same characters stand earlier as well."""
    text = "abcde" * 12
    places = []
    for seed in range(200):
        (result,) = masked([text], seed=seed)
        left, right = result.split(" [M] ")
        assert (left, right) == (text[: len(left)], text[len(left) + 5 :])
        assert len(left) == np.random.default_rng(seed).integers(0, len(text) - 5 + 1)
        places.append(len(left))
    assert max(places) > 45


def test_every_place_is_as_likely_as_any_other() -> None:
    text = "0123456789"
    results = masked([text] * 18_000, width=5, shortest=0)
    counts = Counter(result.index(" [M] ") for result in results)
    assert sorted(counts) == [0, 1, 2, 3, 4, 5]
    assert min(counts.values()) > 2700
    assert max(counts.values()) < 3300


def test_short_texts_stay_unless_asked_for() -> None:
    texts = ["x" * 29, "y" * 30, "", "z"]
    results = masked(texts)
    assert [result == text for result, text in zip(results, texts, strict=True)] == [True, False, True, True]
    results = masked(texts, shortest=0)
    assert [result == text for result, text in zip(results, texts, strict=True)] == [False, False, True, True]


@pytest.mark.parametrize("length", [4, 5, 6])
def test_a_text_is_never_swallowed_whole(length: int) -> None:
    (result,) = masked(["q" * length], shortest=0)
    assert result == ("q" * length if length <= 5 else result)
    assert result.count("q") == (length if length <= 5 else length - 5)


def test_the_same_seed_gives_the_same_masks_and_another_does_not(real_texts: list[str]) -> None:
    once = masked(real_texts, seed=3)
    assert masked(real_texts, seed=3) == once
    assert masked(real_texts, seed=4) != once


def test_the_generator_goes_on_from_text_to_text(real_texts: list[str]) -> None:
    rng = np.random.default_rng(5)
    first, second = (list(mask_spans(real_texts, width=5, shortest=30, mask_token="[M]", rng=rng)) for _ in range(2))
    assert first != second


def test_width_zero_masks_nothing_and_copies(real_texts: list[str]) -> None:
    results = masked(real_texts, width=0, shortest=0)
    assert results == real_texts
    assert results is not real_texts


def test_every_architecture_sees_its_own_mask_token_whole(architecture: Path, real_texts: list[str]) -> None:
    """One mask id between what the tokenizer makes of the text left and right of it."""
    from mirrorkit.model.encoder import SentenceEncoder

    encoder = SentenceEncoder.load(architecture)
    tokenizer, mask_id = encoder.tokenizer, encoder.tokenizer.mask_token_id

    def spell(ids: Sequence[int]) -> str:
        return "".join(tokenizer.decode(ids, skip_special_tokens=True).split())

    texts = masked(real_texts, mask_token=tokenizer.mask_token)
    before, after = encoder.tokenize(real_texts, 10_000), encoder.tokenize(texts, 10_000)
    assert not any(mask_id in before[i] for i in range(len(texts)))
    assert [(after[i] == mask_id).sum() for i in range(len(texts))] == [len(text) >= 30 for text in real_texts]
    for i, text in enumerate(texts):
        if len(real_texts[i]) >= 30:
            at = after[i].tolist().index(mask_id)
            halves = encoder.tokenize(text.split(f" {tokenizer.mask_token} "), 10_000)
            assert spell(after[i][:at].tolist()) == spell(halves[0].tolist())
            assert spell(after[i][at:].tolist()) == spell(halves[1].tolist())


def pieces(
    texts: list[str], *, per_piece: int, width: int = 10, seed: int = 1
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the ids of texts in pieces of so many characters, between 1 and 2, and what is masked (by 0) of them."""
    plain = [[1, *(100 + place for place in range(0, len(text), per_piece)), 2] for text in texts]
    ids, rng = RaggedIds.from_blocks([plain]), np.random.default_rng(seed)
    found = mask_pieces(ids, texts, width=width, shortest=30, mask_id=0, special={0, 1, 2}, rng=rng)
    return plain, [found[i].tolist() for i in range(len(found))]


THAI = "พิพิธภัณฑ์เปิดเวลาเก้านาฬิกาในวันอาทิตย์"
CHINESE = "博物馆星期天早上九点开门。"


@pytest.mark.parametrize(("text", "per_piece", "run"), [(THAI, 4, 2), (THAI, 1, 10), (CHINESE, 1, 3), (CHINESE, 2, 2)])
def test_a_run_of_pieces_is_masked_where_a_script_has_no_blanks(text: str, per_piece: int, run: int) -> None:
    places = set()
    for seed in range(400):
        (plain,), (found,) = pieces([text], per_piece=per_piece, seed=seed)
        place = found.index(0)
        assert found == [*plain[:place], 0, *plain[place + run :]]
        places.add(place)
    assert places == set(range(1, len(plain) - run))  # any place, and never the first or last token
    assert masked([text], width=10) == [text]  # not by characters as well


def test_other_texts_and_short_ones_keep_their_pieces() -> None:
    texts = ["A sentence of an alphabet, long enough.", CHINESE[:9], THAI[:29], ""]
    plain, found = pieces(texts, per_piece=1)
    assert found == plain
    assert pieces([THAI], per_piece=1, width=0)[1] == pieces([THAI], per_piece=1, width=0)[0]
    assert pieces([CHINESE], per_piece=len(CHINESE))[1] == [[1, 100, 2]]  # of one piece nothing would be left


def test_words_are_put_into_another_order_and_nothing_else_happens(real_texts: list[str]) -> None:
    found = list(shuffle_words(real_texts, np.random.default_rng(3)))
    assert [sorted(text.split()) for text in found] == [sorted(text.split()) for text in real_texts]
    assert sum(own != text for own, text in zip(found, real_texts, strict=True)) > len(real_texts) // 2
    assert found == list(shuffle_words(real_texts, np.random.default_rng(3)))
    assert found != list(shuffle_words(real_texts, np.random.default_rng(4)))
    assert list(shuffle_words(["", "word", "東京に行く"], np.random.default_rng(0))) == ["", "word", "東京に行く"]


def test_every_order_is_as_likely() -> None:
    rng = np.random.default_rng(0)
    orders = Counter(shuffle_words(["a b c"] * 6000, rng))
    assert len(orders) == 6
    assert all(abs(count - 1000) < 150 for count in orders.values())  # five standard deviations


def test_a_shuffled_second_view_is_of_the_same_text(tiny_random: Callable[[str], Path]) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    from mirrorkit.model.encoder import SentenceEncoder
    from mirrorkit.training.pairs import Pairs
    from mirrorkit.training.recipe import Recipe
    from mirrorkit.training.view_ids import tokenise_views

    encoder = SentenceEncoder.load(tiny_random("bert"))
    texts = ["red green blue", "blue red green", "one two three four"]
    pairs = Pairs(texts, texts, None)
    views, labels = tokenise_views(encoder, pairs, Recipe(shuffle=1, span_mask=0), np.random.default_rng(1))
    rng = np.random.default_rng(1)
    assert all(which_are_shuffled(texts, 1, rng))
    wanted = list(shuffle_words(texts, rng))
    assert [views[i].tolist() for i in range(6)] == [encoder.tokenize([one], 50)[0].tolist() for one in texts + wanted]
    assert labels is None  # the labels are by the text, not by what its shuffled words happen to be


def test_a_share_of_what_has_an_order_is_shuffled() -> None:
    texts = ["two words", "word", "東京 に行く", " padded ", ""] * 2000
    found = np.array(which_are_shuffled(texts, 0.3, np.random.default_rng(0))).reshape(2000, 5).mean(axis=0)
    assert found[0] == pytest.approx(0.3, abs=0.05)  # five standard deviations
    assert found[1:].tolist() == [0, 0, 0, 0]
    untouched, drawn = np.random.default_rng(0), np.random.default_rng(0)
    assert not any(which_are_shuffled(texts, 0, drawn))
    assert drawn.random() == untouched.random()


def test_a_second_view_is_either_shuffled_or_masked(tiny_random: Callable[[str], Path], real_texts: list[str]) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    from mirrorkit.model.encoder import SentenceEncoder
    from mirrorkit.training.recipe import Recipe
    from mirrorkit.training.view_ids import second_views

    encoder = SentenceEncoder.load(tiny_random("bert"))
    texts = [text for text in real_texts if len(text) > 40 and " " in text and not is_unspaced(text)] * 6
    found = second_views(encoder, texts, Recipe(shuffle=0.5, span_mask=10), np.random.default_rng(0))
    mask = encoder.tokenizer.mask_token_id
    masked_ones = [mask in found[i] for i in range(len(texts))]
    assert 0.3 < np.mean(masked_ones) < 0.7
    # Words keep their pieces wherever they stand, so what is not masked has the pieces of the text itself.
    plain = encoder.tokenize(texts, 50)
    whole = [i for i, hidden in enumerate(masked_ones) if not hidden and len(plain[i]) < 50]
    assert all(sorted(found[i].tolist()) == sorted(plain[i].tolist()) for i in whole)
    moved = [i for i in whole if found[i].tolist() != plain[i].tolist()]
    assert len(moved) > 0.7 * len(whole) > 10  # of unknown words all orders are alike
