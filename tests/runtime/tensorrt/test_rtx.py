"""Test which library an engine is run by, and TensorRT-RTX where it differs from TensorRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit.errors import ConfigError
from mirrorkit.formats.engine import Backend, EngineMismatchError
from mirrorkit.machine.gpu import current_gpu
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.tensorrt import session as tensorrt
from tests.engines import Machine, lookup_bundle, make_engine


@pytest.fixture
def machine(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    bundle = lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json")
    return Machine(bundle, tmp_path / "engine", monkeypatch)


def test_tensorrt_rtx_is_left_to_its_own_graphs_and_memory(machine: Machine) -> None:
    machine.backend = Backend.RTX
    handle = machine.engine()
    encoder, plain = machine.open(), Encoder(machine.bundle)
    for _ in range(4):
        np.testing.assert_allclose(encoder.encode(["one cat"]), plain.encode(["one cat"]), atol=1e-5)
    assert machine.cuda.launched == 0
    assert len(handle.contexts) == 1


def test_the_library_that_an_engine_needs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from mirrorkit.errors import MissingExtraError
    from mirrorkit.formats.engine import read_engine

    def absent(module: str, *, extra: str) -> Any:
        raise MissingExtraError(f"{module} is not installed; run: pip install 'mirrorkit[{extra}]'", name=module)

    monkeypatch.setattr(tensorrt, "require", absent)
    engine = read_engine(make_engine(machine.folder, machine.bundle, backend=Backend.RTX))
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tensorrt_rtx is not installed; .*mirrorkit\[tensorrt-rtx\]"):
        tensorrt._library(engine)
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: object() if name == "tensorrt" else None)
    with pytest.raises(EngineMismatchError, match="was built by tensorrt-rtx, only tensorrt is installed here"):
        tensorrt._library(engine)


def test_a_real_engine_of_tensorrt_rtx_where_there_is_no_gpu(machine: Machine) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    if current_gpu() is not None:
        pytest.skip("there is a GPU here")
    log = rtx.Logger(rtx.Logger.ERROR)
    builder = rtx.Builder(log)
    network = builder.create_network(0)
    value = network.add_input("input_ids", rtx.float32, (1, 8))
    network.mark_output(network.add_identity(value).get_output(0))
    content = bytes(builder.build_serialized_network(network, builder.create_builder_config()))
    make_engine(machine.folder, machine.bundle, backend=Backend.RTX, version=rtx.__version__, content=content)
    with pytest.raises(
        ConfigError, match=r"no CUDA device found .*; an engine runs only on the GPU it was built for"
    ) as e:
        machine.open()
    assert "\n" not in str(e.value)
    machine.install(rtx)
    with pytest.raises(EngineMismatchError, match=r"cannot open it \(.*CUDA driver") as caught:
        machine.open()
    assert "\n" not in str(caught.value)
