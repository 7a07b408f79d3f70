"""Fixed shapes give the vectors of a session that runs every batch as it is; tried on the CPU, which has no graphs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
pytest.importorskip("torch", reason="needs the train extra, to make what is run")

from mirrorkit import Encoder
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.runtime.fixed import FIXED_TOKENS, FixedShapes, filled, fixed_shape
from mirrorkit.runtime.session import OnnxSession, _run_bound
from mirrorkit.runtime.tensorrt.provider import CUDA, providers
from tests.bundles import bundle_of


@pytest.fixture
def session(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxSession:
    return OnnxSession(bundle_of(tiny, ["fp32"], tmp_path_factory) / "onnx" / "model.onnx", threads=1)


@pytest.mark.parametrize(
    ("rows", "width", "shape"),
    [
        (1, 1, (1, 8)),
        (1, 0, (1, 8)),
        (3, 9, (4, 16)),
        (4, 16, (4, 16)),
        (5, 17, (8, 32)),
        (1, 100, (1, 120)),  # no more than the model takes
        (16, 128, None),  # longer than the model takes: for the graph to refuse
        (256, 8, (256, 8)),
        (257, 8, None),
        (17, 65, None),  # 32 x 120 is too much
    ],
)
def test_a_batch_is_filled_up_to_powers_of_two(rows: int, width: int, shape: tuple[int, int] | None) -> None:
    assert fixed_shape(rows, width, 120) == shape


def test_there_are_few_shapes() -> None:
    shapes = {fixed_shape(rows, width, 512) for rows in range(1, 300) for width in range(1, 513)} - {None}
    assert len(shapes) == 42
    assert max(rows * width for rows, width in shapes if rows) == FIXED_TOKENS  # type: ignore[misc]


def test_vectors_are_those_of_the_session(session: OnnxSession) -> None:
    fixed, random = FixedShapes(session, 128, 0), np.random.default_rng(0)
    for rows, width in [(1, 5), (3, 9), (1, 5), (7, 30), (4, 16), (2, 128), (60, 40)]:
        ids = random.integers(5, 1_000, (rows, width))
        mask = (np.arange(width) < random.integers(1, width + 1, (rows, 1))).astype(np.int64)
        mask[0] = 1
        np.testing.assert_allclose(fixed.batch(ids, mask), session.batch(ids, mask), atol=1e-6)
    assert fixed.shapes == [(1, 8), (4, 16), (8, 32), (2, 128)]  # 60 x 40 ran as it was


def test_a_vector_is_the_callers_own(session: OnnxSession) -> None:
    fixed = FixedShapes(session, 128, 0)
    ids = np.full((1, 5), 7)
    first = fixed.batch(ids, np.ones_like(ids))
    kept = first.copy()
    fixed.batch(ids + 100, np.ones_like(ids))
    np.testing.assert_array_equal(first, kept)


def test_threads_do_not_write_into_one_another(session: OnnxSession) -> None:
    fixed = FixedShapes(session, 128, 0)
    batches = [np.full((1, 6), 20 + n) for n in range(24)]
    expected = [session.batch(ids, np.ones_like(ids)) for ids in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda ids: fixed.batch(ids, np.ones_like(ids)), batches))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_fails_names_file_and_shape(session: OnnxSession) -> None:
    ids = np.full((2, 5), 10**7)
    with pytest.raises(BundleError, match="failed on a batch of 2 x 8 tokens"):
        FixedShapes(session, 128, 0).batch(ids, np.ones_like(ids))


def test_filled() -> None:
    assert filled(np.array([[1, 2]]), (2, 3), 9).tolist() == [[1, 2, 9], [9, 9, 9]]


def test_a_session_with_graphs_asks_for_them_and_runs_large_batches_without() -> None:
    assert providers(None, graphs=True) == [(CUDA, {"device_id": "0", "use_tf32": "0", "enable_cuda_graph": "1"})]
    assert providers(None) == [(CUDA, {"device_id": "0", "use_tf32": "0"})]
    one: Any = SimpleNamespace(_graphs=True)
    options = OnnxSession._ungraphed(one)
    assert options.get_run_config_entry("gpu_graph_id") == "-1"
    given: list[Any] = []
    binding = SimpleNamespace(
        bind_cpu_input=lambda *_: None, bind_output=lambda *_: None, copy_outputs_to_cpu=lambda: [np.ones(1)]
    )
    handle = SimpleNamespace(io_binding=lambda: binding, run_with_iobinding=lambda _, told: given.append(told))
    _run_bound(handle, ["x"], {}, options)
    assert given == [options]


@pytest.mark.parametrize(
    "options", [{}, {"device": "cpu"}, {"engine": "openvino"}, {"device": "cuda", "engine": "openvino"}]
)
def test_graphs_are_for_onnx_runtime_on_a_gpu(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="`cuda_graphs=True`: only for ONNX Runtime on a GPU"):
        Encoder("bundle", cuda_graphs=True, **options)
