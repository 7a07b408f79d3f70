"""OpenVINO's vectors of a bundle are those of ONNX Runtime and of the model, alone and in any company."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra, to compare with")
pytest.importorskip("openvino", reason="needs the openvino extra; `make test-consumers` has it")

from mirrorkit import Encoder, check
from mirrorkit.formats.bundle import GOLDEN, read_bundle
from mirrorkit.formats.golden import read_goldens
from mirrorkit.machine.facts import usable_cores
from mirrorkit.runtime.opening import open_folder
from mirrorkit.runtime.openvino import library
from mirrorkit.runtime.openvino.precision import Precision
from mirrorkit.runtime.openvino.session import OpenvinoSession, open_graph
from mirrorkit.runtime.session import open_session
from mirrorkit.text.ragged import Floats, Ints
from mirrorkit.verification.measure import steady, vectors_of
from mirrorkit.verification.problem import Stage, errors

RAGGED = [" ".join(["a long way", "to", "go"][: 1 + i % 3] * (1 + i * i % 23)) for i in range(90)]


def lowest_cosine(a: Floats, b: Floats) -> float:
    return float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def opened(bundle: Path, precision: Precision, threads: int = 2) -> OpenvinoSession:
    if not library.can("cpu", precision):
        pytest.skip(f"the processor has no {precision}")
    return open_graph(open_folder(bundle, precision.graph, "openvino", verify=True), "cpu", precision, threads)


def test_fp32_gives_the_numbers_of_onnx_runtime(bundle: Path, real_texts: list[str]) -> None:
    texts = [*real_texts, *RAGGED]
    encoder = Encoder(bundle, engine="openvino", precision="fp32", threads=2)
    assert (encoder.variant, encoder.dim) == ("openvino-fp32", Encoder(bundle, "fp32").dim)
    expected = Encoder(bundle, "fp32", threads=2).encode(texts)
    np.testing.assert_allclose(encoder.encode(texts), expected, rtol=0, atol=1e-5)
    for text in real_texts:  # alone: the graph that is compiled for latency
        np.testing.assert_allclose(encoder.encode([text]), expected[[texts.index(text)]], rtol=0, atol=1e-5)


def test_bf16_is_near(bundle: Path, real_texts: list[str]) -> None:
    opened(bundle, Precision.BF16)
    texts = [*real_texts, *RAGGED]
    expected = Encoder(bundle, "fp32").encode(texts)
    found = Encoder(bundle, engine="openvino", precision="bf16", threads=2).encode(texts)
    assert lowest_cosine(found, expected) >= 0.9999
    assert np.abs(found - expected).max() > 1e-5  # it is not fp32 under another name


def test_int8_is_the_same_graph(bundle: Path) -> None:
    """Both multiply the same bytes; between the products each rounds in its own way."""
    session = opened(bundle, Precision.INT8)
    ids = read_goldens(bundle / GOLDEN, read_bundle(bundle).dim).ids
    theirs = open_session(session.file)
    rows = steady(ids)
    found, expected = (vectors_of(runner, ids, 0)[rows] for runner in (session, theirs))
    assert lowest_cosine(found, expected) >= 0.99


def test_check_holds_it_to_the_vectors_of_the_model(bundle: Path) -> None:
    """Those that torch gave at export: near them, the same in any company, and twice the same."""
    found = check(bundle, engine="openvino")
    assert errors(found.problems) == []
    here = {precision.variant for precision in library.available("cpu")}
    assert set(found.variants) == {"fp32", "int8", *here}
    assert found.variants["openvino-fp32"]["max_abs"] < 1e-5
    assert found.variants["openvino-fp32"]["invariance"] < 1e-5
    assert 0 < found.variants["openvino-int8"]["max_abs"] < 0.25


def test_check_says_where_it_is_wrong(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OpenvinoSession.batch

    def batch(self: OpenvinoSession, input_ids: Ints, attention_mask: Ints) -> Floats:
        vectors = run(self, input_ids, attention_mask)
        return vectors if len(vectors) == 1 else vectors[::-1].copy()

    monkeypatch.setattr(OpenvinoSession, "batch", batch)
    found = errors(check(bundle, variants=["fp32"], engine="openvino").problems)
    assert ("openvino-fp32", Stage.INVARIANCE) in {(problem.where, problem.stage) for problem in found}
    assert {problem.where for problem in found} <= {"openvino-fp32", "openvino-bf16"}


def test_threads_and_batches_do_not_change_the_vectors(bundle: Path) -> None:
    one, three = (Encoder(bundle, engine="openvino", precision="fp32", threads=n) for n in (1, 3))
    expected = one.encode(RAGGED)
    for tokens in (16, 200, 5000):
        np.testing.assert_allclose(three.encode(RAGGED, batch_tokens=tokens), expected, rtol=0, atol=1e-5)


def test_threads_are_those_that_openvino_has(bundle: Path) -> None:
    for threads in {1, min(2, usable_cores())}:  # it never has more than there are cores
        session = opened(bundle, Precision.FP32, threads)
        session.for_callers()
        assert session._many is not None
        for compiled, hint in ((session._single, "LATENCY"), (session._many, "THROUGHPUT")):
            told = {
                name: compiled.handle.get_property(name) for name in ("INFERENCE_NUM_THREADS", "ENABLE_CPU_PINNING")
            }
            assert told == {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
            assert str(compiled.handle.get_property("PERFORMANCE_HINT")).endswith(hint)


def test_callers_may_share_an_encoder(bundle: Path) -> None:
    encoder = Encoder(bundle, engine="openvino", precision="fp32", threads=2)
    expected = encoder.encode(RAGGED)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda i: encoder.encode([RAGGED[i]] if i % 2 else RAGGED[i:]), range(40)))
    for i, vectors in enumerate(found):
        np.testing.assert_allclose(vectors, expected[[i]] if i % 2 else expected[i:], rtol=0, atol=1e-5)


def test_it_can_be_pickled_and_keeps_its_precision(bundle: Path) -> None:
    encoder = Encoder(bundle, engine="openvino", threads=1)
    again = pickle.loads(pickle.dumps(encoder))
    assert again.variant == encoder.variant
    assert (again.encode(["a text"]) == encoder.encode(["a text"])).all()


def test_without_a_precision_it_says_which_was_taken(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    has = library.can("cpu", Precision.BF16)
    with caplog.at_level("INFO", "mirrorkit"):
        encoder = Encoder(bundle, engine="openvino")
    assert encoder.variant == ("openvino-bf16" if has else "openvino-fp32")
    words = "bf16, because the cpu has" if has else "fp32, because the cpu does not have"
    assert f"OpenVINO: precision {words} bf16 instructions" in caplog.text
