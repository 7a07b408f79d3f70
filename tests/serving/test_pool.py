"""The threads that compute give an Encoder's vectors, whatever shares a batch, and outlive every request's fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnxscript", reason="needs the export extra, to make what is run")

from mirrorkit.runtime.encoder import Encoder
from mirrorkit.serving.job import Job
from mirrorkit.serving.pool import Pool
from mirrorkit.serving.refused import Why
from mirrorkit.serving.served import Models, Served, open_models
from mirrorkit.serving.settings import Named, Settings
from tests.bundles import bundle_of

# The hidden states are the same to the bit whatever shares the batch (see below); the sum over the tokens at the end of
# the graph is added up in an order that depends on the shape. 6e-8 was seen, of components up to 0.3.
ALIKE = 1e-6
VARIANTS = ("fp32", "fp32-fused")  # the int8 of test bundles is not the exporter's; tests/serving/run has that one


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tiny, ("fp32", "fp32-fused", "int8"), tmp_path_factory)


@pytest.fixture(scope="module")
def models(bundle: Path) -> Models:
    return open_models(Settings((Named("tiny", str(bundle)),), VARIANTS, threads=2))


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(2)
    yield made
    made.stop()


def submitted(pool: Pool, served: Served, texts: Sequence[str], **options: Any) -> tuple[Job, threading.Event]:
    done, call = threading.Event(), options.pop("call", {})
    job = Job(served, served.call(**call), list(texts), done.set, **options)
    assert pool.submit(job, 10**6)
    return job, done


def result(pair: tuple[Job, threading.Event]) -> Any:
    job, done = pair
    assert done.wait(60)
    assert job.error is None, job.error
    return job.vectors()


def test_one_text_alone_has_the_bits_of_an_encoder(
    bundle: Path, models: Models, pool: Pool, real_texts: list[str]
) -> None:
    for variant in VARIANTS:
        served, encoder = models.find("tiny", variant), Encoder(bundle, variant, threads=2)
        for text in real_texts:
            assert np.array_equal(result(submitted(pool, served, [text])), encoder.encode([text])), (variant, text)


@pytest.mark.parametrize("variant", VARIANTS)
def test_vectors_do_not_depend_on_what_shares_the_batch(
    bundle: Path, models: Models, pool: Pool, real_texts: list[str], variant: str
) -> None:
    served = models.find("tiny", variant)
    expected = Encoder(bundle, variant, threads=1).encode(real_texts)
    random = np.random.default_rng(7)
    under_way = []
    for client in range(12):  # all at once, in other orders and sizes
        order = random.permutation(len(real_texts))[: random.integers(1, len(real_texts) + 1)]
        pair = submitted(pool, served, [real_texts[i] for i in order], client=f"client {client % 5}")
        under_way.append((order, pair))
    for order, pair in under_way:
        assert np.abs(result(pair) - expected[order]).max() <= ALIKE


def test_the_hidden_states_are_the_same_bits_in_any_batch(models: Models, real_texts: list[str]) -> None:
    from mirrorkit.text.ragged import pad_batch

    for served in models:
        opened, session = served.encoding.opened, served.encoding.runner
        ids = opened.tokenizer.ids(real_texts)
        every = np.arange(len(real_texts))
        (whole,) = session.outputs(["last_hidden_state"], *pad_batch(ids, every, opened.pad_id))  # type: ignore[attr-defined]
        for row in every:
            alone = pad_batch(ids, every[row : row + 1], opened.pad_id)
            (hidden,) = session.outputs(["last_hidden_state"], *alone)  # type: ignore[attr-defined]
            tokens = len(ids[int(row)])
            assert np.array_equal(hidden[0, :tokens], whole[row, :tokens]), (served.variant, real_texts[row])


def test_options_are_those_of_an_encoder(bundle: Path, models: Models, pool: Pool, real_texts: list[str]) -> None:
    served, encoder = models.find("tiny", "fp32"), Encoder(bundle, "fp32", threads=1)
    options = {"truncate_dim": 8, "normalize": True, "prompt": "query: "}
    found = result(submitted(pool, served, real_texts, call=options))
    assert found.shape == (len(real_texts), 8)
    assert np.abs(found - encoder.encode(real_texts, **options)).max() <= ALIKE  # type: ignore[arg-type]


def test_token_ids_are_what_the_tokenizer_gives(
    bundle: Path, models: Models, pool: Pool, real_texts: list[str]
) -> None:
    served = models.find("tiny", "fp32")
    texts = [text for text in real_texts if text]
    job, done = submitted(pool, served, [], ids=served.tokens(texts))
    assert np.abs(result((job, done)) - Encoder(bundle, "fp32", threads=1).encode(texts)).max() <= ALIKE


def test_a_long_text_is_cut_or_refused(bundle: Path, models: Models, pool: Pool) -> None:
    served = models.find("tiny", "fp32")
    word = "word "
    fits = word * (served.max_length - 2)  # with the two special tokens
    assert np.isfinite(result(submitted(pool, served, ["short", fits], truncate=False))).all()
    for texts, which in (([fits + word], "the input has more"), (["short", fits + word], r"input[1] has more")):
        job, done = submitted(pool, served, texts, truncate=False)
        assert done.wait(60)
        assert job.error is not None
        assert job.error.why is Why.TOO_LONG
        assert which in job.error.message
        cut = result(submitted(pool, served, texts, truncate=True))
        assert np.abs(cut - Encoder(bundle, "fp32", threads=1).encode(texts)).max() <= ALIKE
    assert pool.waiting == 0


def test_a_fault_of_one_request_is_not_anothers(models: Models, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    served = models.find("tiny", "fp32")
    runner, inner = served.encoding.runner, served.encoding.runner.for_callers()
    poison = len(served.tokens(["poison poison"])[0])
    hold = threading.Event()

    def broken(real: Any) -> Any:
        def batch(ids: Any, mask: Any) -> Any:
            hold.wait(60)
            if 4242 in ids:
                raise RuntimeError("poison")
            vectors = real(ids, mask)
            vectors[(ids == 4243).any(axis=1)] = np.nan
            return vectors

        return batch

    for one in {runner, inner}:
        monkeypatch.setattr(one, "batch", broken(one.batch))
    good = [submitted(pool, served, ["fine"] * 3, client=f"good {i}") for i in range(4)]
    bad = [
        submitted(pool, served, [], ids=[np.full(poison, number, dtype=np.int32)] * 2, client=f"bad {number}")
        for number in (4242, 4243)
    ]
    hold.set()
    for pair in good:
        assert np.isfinite(result(pair)).all()
    for job, done in bad:
        assert done.wait(60)
        assert job.error is not None
        assert job.error.why is Why.BROKEN
    assert pool.waiting == 0


def test_a_request_that_is_given_up_ends(models: Models, pool: Pool) -> None:
    served = models.find("tiny", "fp32")
    job, done = submitted(pool, served, ["a text of some words to encode"] * 20_000)
    while job.left == job.size and not done.is_set():
        time.sleep(0.001)
    pool.give_up(job)
    assert pool.waiting == 0
    left = job.left
    assert np.isfinite(result(submitted(pool, served, ["next"]))).all()
    assert job.left == left > 0
    assert not done.is_set()


def test_a_full_queue_takes_nothing_more(models: Models, pool: Pool) -> None:
    served = models.find("tiny", "fp32")
    job = Job(served, served.call(), ["x"] * 11, lambda: None)
    assert not pool.submit(job, 10)
    assert pool.waiting == 0
    assert 1 <= pool.seconds_left() <= 60


def test_idle_threads_use_no_time(models: Models, pool: Pool) -> None:
    served = models.find("tiny", "fp32")
    result(submitted(pool, served, ["warm", "up"]))
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


@pytest.mark.slow
def test_int8_as_it_is_exported_has_the_same_hidden_states_in_any_batch(
    tiny: Path, tmp_path: Path, real_texts: list[str]
) -> None:
    from mirrorkit import export

    bundle = tmp_path / "exported"
    assert export(tiny, bundle, precision=["fp32", "int8"]).ok
    exported = open_models(Settings((Named("tiny", str(bundle)),), ("int8", "int8-fused"), threads=2))
    test_the_hidden_states_are_the_same_bits_in_any_batch(exported, real_texts)
    pool = Pool(2)
    try:
        test_vectors_do_not_depend_on_what_shares_the_batch(bundle, exported, pool, real_texts, "int8")
    finally:
        pool.stop()
