"""Test the running of TensorRT engines on a GPU made of numpy, and what is said where there is none."""

from __future__ import annotations

import logging
import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit.cli.app import app
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import INPUTS, OUTPUTS, read_bundle, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.engine import EngineMismatchError, Ids
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.tensorrt.options import Tensorrt
from mirrorkit.runtime.tensorrt.passes import GRAPHS
from tests.bundles import save_graph, table
from tests.engines import VERSION, Machine, fake_library, lookup_bundle, make_engine

TEXTS = [" ".join(["the cat sat on the mat and looked at a dog"] * (n % 6 + 1))[: 5 * n + 3] for n in range(40)]
PROFILES = ("min=1x8,opt=4x16,max=8x64",)


@pytest.fixture
def bundle(tiny: Path, tmp_path: Path) -> Path:
    return lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json")


@pytest.fixture
def machine(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(bundle, tmp_path / "engine", monkeypatch)


@pytest.mark.parametrize("ids", list(Ids))
def test_vectors_are_those_of_the_graph_in_the_order_of_the_texts(machine: Machine, ids: Ids) -> None:
    machine.engine(ids=ids)
    encoder = machine.open()
    assert (encoder.variant, encoder.dim) == ("tensorrt", 8)
    plain = Encoder(machine.bundle)
    texts = [*TEXTS, "", "word"]
    np.testing.assert_allclose(encoder.encode(texts), plain.encode(texts), atol=1e-5)
    assert encoder.encode([]).shape == (0, 8)


def test_a_batch_goes_to_the_profile_that_pads_it_least_and_is_split_where_none_takes_it(machine: Machine) -> None:
    handle = machine.engine(["4x64", "min=1x8,opt=1x16,max=2x64"])
    session = machine.open()._encoding.runner
    ids = np.arange(7 * 50).reshape(7, 50) % 500 + 5
    mask = np.ones_like(ids)
    vectors = session.batch(ids, mask)
    np.testing.assert_allclose(vectors, machine.session.batch(ids, mask), atol=1e-5)
    assert handle.passes[:2] == [(0, (4, 64)), (0, (4, 64))]  # 4 and 3 rows; the fourth of the second part is filler
    handle.passes.clear()
    np.testing.assert_allclose(session.batch(ids[:1], mask[:1]), vectors[:1], atol=1e-5)
    assert handle.passes[0] == (1, (1, 56))  # 50 tokens, rounded up to eights
    with pytest.raises(ConfigError, match="65 tokens: the longest that this engine has a profile for is 64"):
        session.batch(np.ones((1, 65), dtype=np.int64), np.ones((1, 65), dtype=np.int64))


def test_text_is_cut_at_the_longest_profile_and_that_is_said(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.engine(["min=1x1,opt=1x8,max=2x16"])
    encoder = machine.open()
    assert encoder.max_length == 16
    assert "takes 16 tokens, its bundle " in caplog.text
    assert encoder.encode(["the cat sat on the mat " * 20]).shape == (1, 8)


def test_a_shape_that_comes_for_the_third_time_runs_as_a_graph_with_a_context_of_its_own(machine: Machine) -> None:
    handle = machine.engine(["min=1x8,opt=1x16,max=64x64"])
    encoder, plain = machine.open(), Encoder(machine.bundle)
    for text in ["one cat", "a dog", "two mats", "the longest of these four texts is this one here", "one cat"]:
        np.testing.assert_allclose(encoder.encode([text]), plain.encode([text]), atol=1e-5)
    assert machine.cuda.launched == 2  # the third and the fourth of 8 tokens
    assert len(handle.contexts) == 2
    many = TEXTS[:6] * 10
    for _ in range(4):
        np.testing.assert_allclose(encoder.encode(many, batch_tokens=4096), plain.encode(many), atol=1e-5)


def test_no_more_graphs_are_kept_than_there_is_room_for(machine: Machine) -> None:
    machine.engine(["min=1x8,opt=1x16,max=64x64"])
    session = machine.open()._encoding.runner
    for rows in range(1, GRAPHS + 4):
        ids = np.full((rows, 8), 7, dtype=np.int64)
        for _ in range(3):
            session.batch(ids, np.ones_like(ids))
    assert machine.cuda.launched == GRAPHS + 3
    assert machine.cuda.forgotten == 3


def test_where_graphs_cannot_be_captured_it_goes_on_without(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.engine()
    machine.cuda.can_capture = False
    encoder = machine.open()
    first = encoder.encode(["one cat"])
    for _ in range(4):
        np.testing.assert_array_equal(encoder.encode(["one cat"]), first)
    assert machine.cuda.launched == 0
    (said,) = [
        r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and "CUDA graphs" in r.getMessage()
    ]
    assert "continuing without CUDA graphs" in said


def test_a_pass_that_fails_is_one_line_with_what_the_library_said(machine: Machine) -> None:
    handle = machine.engine()
    encoder = machine.open()
    expected = encoder.encode(["a"])
    handle.contexts[0].fails = "enqueueV3: Error Code 1: out of\nluck"
    with pytest.raises(BundleError, match=r"engine: failed on a batch of 1x8 \(enqueueV3: Error Code 1: out of luck\)"):
        encoder.encode(["b"])
    handle.contexts[0].fails = ""
    np.testing.assert_array_equal(encoder.encode(["a"]), expected)


def test_an_encoder_can_be_pickled(machine: Machine) -> None:
    machine.engine()
    encoder = machine.open()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).encode(["a cat"]), encoder.encode(["a cat"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "10.9"}, f"was built by tensorrt 10.9, this is {VERSION}; build it again: mirrorkit engine"),
        ({"target": "sm120"}, r"was built for sm120, this GPU is Test 4090 \(sm89\); build it again"),
    ],
)
def test_an_engine_for_another_place_is_named_and_mended(machine: Machine, change: dict[str, str], words: str) -> None:
    machine.engine()
    make_engine(machine.folder, machine.bundle, PROFILES, **change)  # type: ignore[arg-type]
    with pytest.raises(EngineMismatchError, match=words) as caught:
        machine.open()
    assert "\n" not in str(caught.value)
    asked = []

    def rebuild(bundle: Path, folder: Path) -> None:
        asked.append((bundle, folder))
        make_engine(folder, bundle, PROFILES)

    assert machine.open(rebuild=rebuild).encode(["a"]).shape == (1, 8)
    assert asked == [(machine.bundle, machine.folder)]
    machine.open(rebuild=rebuild)  # it fits now
    assert len(asked) == 1
    make_engine(machine.folder, machine.bundle, PROFILES, **change)  # type: ignore[arg-type]
    with pytest.raises(EngineMismatchError, match=words):  # mending that does not mend
        machine.open(rebuild=lambda bundle, folder: None)


def test_an_engine_of_another_model_or_of_a_changed_graph(machine: Machine, tiny: Path, tmp_path: Path) -> None:
    machine.engine()
    other = lookup_bundle(tmp_path / "other", tiny / "tokenizer.json", max_length=32)
    with pytest.raises(EngineMismatchError, match=r"was built from another model than .* holds; build it again"):
        Encoder(other, "tensorrt", tensorrt=Tensorrt(machine.folder))
    graph = machine.bundle / "onnx" / "model.onnx"
    save_graph(graph, 2 * table(8000), INPUTS, OUTPUTS)
    write_manifest(
        replace(read_bundle(other), folder=machine.bundle, max_length=64, files=record_files(machine.bundle))
    )
    with pytest.raises(EngineMismatchError, match=r"onnx/model.onnx of .*bundle has changed since it was built"):
        machine.open()


def test_engines_that_are_none(machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handle = machine.engine()
    (machine.folder / "model.engine").write_bytes(b"foreign")
    with pytest.raises(BundleError, match=r"model.engine: not the engine of manifest.json \(sha256 "):
        machine.open()
    assert machine.open(verify=False).dim == 8
    assert f"{machine.folder}: files are not checked against their recorded hashes" in caplog.text
    make_engine(machine.folder, machine.bundle, PROFILES)
    handle.names = ["input_ids", "logits"]
    with pytest.raises(BundleError, match="has the inputs and outputs input_ids, logits; expected input_ids, "):
        machine.open()
    machine.engine(ids=Ids.INT32).ids = np.dtype(np.int64)
    with pytest.raises(BundleError, match="input_ids is int64, should be int32"):
        machine.open()
    machine.engine().num_optimization_profiles = 2
    with pytest.raises(BundleError, match="has 2 profiles, its manifest says 1"):
        machine.open()
    machine.install(fake_library(None, "Serialized engine\n contains wrong magic tag"))
    with pytest.raises(EngineMismatchError, match=r"cannot open it \(Serialized engine contains wrong magic tag\)"):
        machine.open()
    machine.install(fake_library(None, "Error Code 2: OutOfMemory (Requested size was 9 bytes): CUDA Out of Memory"))
    with pytest.raises(ConfigError, match=r"model.engine: needs more memory than the GPU has free \(Error Code 2"):
        machine.open()
    shutil.rmtree(machine.folder)
    with pytest.raises(BundleError, match=r"no manifest.json in it, so this is not an engine folder"):
        machine.open()


def test_the_command_runs_an_engine_and_mends_it(machine: Machine, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the export extra")
    machine.engine()
    make_engine(machine.folder, machine.bundle, PROFILES, version="10.9")
    machine.patch.setattr(
        "mirrorkit.exporter.tensorrt.build.rebuild_engine", lambda bundle, folder: make_engine(folder, bundle, PROFILES)
    )
    (tmp_path / "in.txt").write_text("one cat\na dog\n", encoding="utf-8")
    out = tmp_path / "out.npy"
    arguments = ["encode", machine.bundle, tmp_path / "in.txt", "-o", out, "--engine", machine.folder]
    refused = CliRunner().invoke(app, [*map(str, arguments)])
    assert refused.exit_code == 2
    assert "was built by tensorrt 10.9" in refused.output
    mended = CliRunner().invoke(app, [*map(str, arguments), "--rebuild", "--json"])
    assert mended.exit_code == 0, mended.output
    assert '"variant": "tensorrt"' in mended.stdout
    np.testing.assert_allclose(np.load(out), Encoder(machine.bundle).encode(["one cat", "a dog"]), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variant": "tensorrt"}, "variant tensorrt: give the folder of its engine too"),
        ({"variant": "tensorrt", "tensorrt": Tensorrt()}, "variant tensorrt: give the folder of its engine too"),
        ({"variant": "fp16", "tensorrt": Tensorrt("e")}, "variant fp16: cannot be combined with an engine"),
        ({"tensorrt": Tensorrt("e"), "device": "cpu"}, "device cpu: TensorRT runs only on cuda"),
        ({"tensorrt": Tensorrt(), "device": "cpu"}, "device cpu: TensorRT runs only on cuda"),
    ],
)
def test_options_that_exclude_one_another(bundle: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Encoder(bundle, **options)


def test_an_engine_has_no_use_for_what_builds_one() -> None:
    with pytest.raises(ConfigError, match="`rebuild` needs `engine`"):
        Tensorrt(rebuild=print)
    with pytest.raises(ConfigError, match="`cache` is for ONNX Runtime's provider"):
        Tensorrt("e", cache="c")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "e", "--provider", "tensorrt"], "provider tensorrt: cannot be combined with an engine"),
        (["--engine-cache", "c"], "engine.cache.? needs .*provider.tensorrt"),
    ],
)
def test_the_command_names_options_that_exclude_one_another(
    bundle: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    (tmp_path / "in.txt").write_text("one cat\n", encoding="utf-8")
    arguments = ["encode", bundle, tmp_path / "in.txt", "-o", tmp_path / "out.npy", *options]
    refused = CliRunner().invoke(app, [*map(str, arguments)])
    assert refused.exit_code == 2
    assert re.search(words, refused.output)
