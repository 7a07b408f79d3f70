"""Streams in bounded memory, threads, pickles, forks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit.errors import ConfigError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.session import OnnxSession
from tests.bundles import make_foreign

TEXTS = [f"sentence number {i} " * (1 + i % 5) for i in range(300)]
EXACT: dict[str, Any] = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_foreign(tmp_path_factory.mktemp("foreign"), tiny / "tokenizer.json")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder(folder, threads=2)


@pytest.fixture(scope="module")
def vectors(encoder: Encoder) -> Any:
    return encoder.encode(TEXTS)


def test_blocks_come_in_order(encoder: Encoder, vectors: Any) -> None:
    blocks = list(encoder.encode_iter(iter(TEXTS), chunk=64))
    assert [len(block) for block in blocks] == [64, 64, 64, 64, 44]
    np.testing.assert_allclose(np.concatenate(blocks), vectors, **EXACT)
    assert list(encoder.encode_iter([])) == []


def test_a_stream_is_read_no_further_than_the_block_asked_for(encoder: Encoder) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"text {taken}"

    blocks = encoder.encode_iter(endless(), chunk=10)
    assert taken == 0
    for done in (10, 20, 30):
        assert next(blocks).shape == (10, encoder.dim)
        assert taken == done


def test_a_wrong_text_is_named_by_its_place_in_the_stream(encoder: Encoder) -> None:
    blocks = encoder.encode_iter(["a"] * 25 + [None], chunk=10)  # type: ignore[list-item]
    assert [len(next(blocks)) for _ in range(2)] == [10, 10]
    with pytest.raises(TypeError, match=r"texts\[25\] is NoneType"):
        next(blocks)


def test_options_are_checked_before_anything_is_read(encoder: Encoder) -> None:
    with pytest.raises(ConfigError, match="chunk 0: must be at least 1"):
        encoder.encode_iter([], chunk=0)
    with pytest.raises(ConfigError, match="batch_tokens 0: must be at least 1"):
        encoder.encode_iter([], batch_tokens=0)
    with pytest.raises(TypeError, match="not one string"):
        encoder.encode_iter("text")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream(folder: Path) -> None:
    code = f"""
import sys
from mirrorkit.machine.facts import peak_memory_bytes
from mirrorkit.runtime.encoder import Encoder
encoder = Encoder({str(folder)!r}, threads=1)
texts = ("the same few words again and again" for _ in range(int(sys.argv[1])))
assert sum(len(block) for block in encoder.encode_iter(texts)) == int(sys.argv[1])
print(peak_memory_bytes())"""
    few, many = (
        int(subprocess.run([sys.executable, "-c", code, str(n)], capture_output=True, check=True).stdout)
        for n in (20_000, 200_000)
    )
    assert many < few + 10e6  # the vectors alone are 6 MB, the texts of the longer stream 15 MB


def test_threads_share_an_encoder(encoder: Encoder, vectors: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: encoder.encode(TEXTS), range(16)):
            np.testing.assert_allclose(result, vectors, **EXACT)


def test_pickling_opens_the_same_variant_again(
    encoder: Encoder, vectors: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    pickled = pickle.dumps(Encoder(folder.name, "onnx/model.onnx", threads=1))
    assert len(pickled) < 1000  # the state is a path and a few options
    monkeypatch.chdir(tmp_path)
    copy = pickle.loads(pickled)
    assert repr(copy) == repr(encoder).replace("'fp32'", "'onnx/model.onnx'")
    np.testing.assert_allclose(copy.encode(TEXTS), vectors, **EXACT)


def handle(encoder: Encoder) -> Any:
    assert isinstance(encoder._encoding.runner, OnnxSession)
    return encoder._encoding.runner._handle


def encode_in_child(encoder: Encoder, queue: Any) -> None:
    queue.put(encoder.encode(TEXTS))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes_encode(method: Any, encoder: Encoder, vectors: Any) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=encode_in_child, args=(encoder, queue))
    child.start()
    try:
        np.testing.assert_allclose(queue.get(timeout=60), vectors, **EXACT)
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()
    np.testing.assert_allclose(encoder.encode(TEXTS), vectors, **EXACT)  # the parent's is as it was


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_threads_of_its_own(encoder: Encoder) -> None:
    before = handle(encoder)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def look(queue: Any) -> None:
        encoder.encode(["a"])
        opened = handle(encoder)
        encoder.encode(["b"])
        queue.put((opened is before, handle(encoder) is opened))

    child = context.Process(target=look, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == (False, True)
    finally:
        child.kill()
    assert handle(encoder) is before
