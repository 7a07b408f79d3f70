"""What cannot be run is refused in one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit.errors import BundleError, ConfigError, MirrorkitError
from mirrorkit.formats.bundle import Bundle, Graph, Precision, Variant, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.pooling import Pooling
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.session import open_session
from tests.bundles import make_foreign, save_graph, table

MODEL = "onnx/model.onnx"


@pytest.fixture
def foreign(tiny: Path, tmp_path: Path) -> Callable[..., Path]:
    return lambda **options: make_foreign(tmp_path / "folder", tiny / "tokenizer.json", **options)


@pytest.fixture
def bundle(foreign: Callable[..., Path]) -> Path:
    folder = foreign(outputs=["last_hidden_state", "sentence_embedding"])
    write_manifest(described(folder))
    return folder


def described(folder: Path, **other: Any) -> Bundle:
    fields: dict[str, Any] = {
        "architecture": "bert",
        "dim": 8,
        "max_length": 32,
        "pooling": Pooling.MEAN,
        "pad_token_id": 0,
        "variants": {"int4": Variant("int4", MODEL, Precision.INT4, Graph.ONNX)},
        "files": record_files(folder),
    }
    return Bundle(folder=folder, **{**fields, **other})


@pytest.mark.parametrize("text", [None, 3, 2.5, float("nan"), b"bytes", ["nested"]])
def test_a_wrong_text_is_named_by_its_place(bundle: Path, text: Any) -> None:
    encoder = Encoder(bundle)
    with pytest.raises(TypeError, match=rf"texts\[1\] is {type(text).__name__}, not str"):
        encoder.encode(["a", text])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("text", r"not one string; write encode\(\[text\]\)"),
        (b"text", "not one string"),
        (None, "takes a sequence of strings, not NoneType"),
        (7, "takes a sequence of strings, not int"),
        ({"a": 1}, "not a dict, which has no rows"),
        ({"a"}, "not a set"),
        (np.array("text"), "takes a sequence of strings"),
        (np.array([["a", "b"]]), r"texts\[0\] is ndarray"),
    ],
)
def test_what_is_no_sequence_of_strings(bundle: Path, texts: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Encoder(bundle).encode(texts)


def test_options_that_cannot_be(bundle: Path) -> None:
    encoder = Encoder(bundle)  # int4 is all that it holds, and is better than nothing
    assert encoder.variant == "int4"
    with pytest.raises(ConfigError, match="normalize=False: the graph of this bundle normalises its vectors"):
        encoder.encode(["a"], normalize=False)
    with pytest.raises(ConfigError, match="batch_tokens 0: must be at least 1"):
        encoder.encode(["a"], batch_tokens=0)
    with pytest.raises(ConfigError, match=r"variant 'fp32': .*folder holds int4"):
        Encoder(bundle, "fp32")
    for threads in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match=r"threads .*: must be a whole number of at least 1"):
            Encoder(bundle, threads=threads)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="device 'tpu': must be one of cpu, cuda"):
        Encoder(bundle, device="tpu")


def test_cuda_where_there_is_none(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    with pytest.raises(ConfigError, match=r"this onnxruntime has no CUDA; .*onnxruntime-gpu without onnxruntime"):
        Encoder(bundle, device="cuda")
    everything = ["CUDAExecutionProvider", "CPUExecutionProvider"]  # what a GPU build says on any machine
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: everything)
    with pytest.warns(UserWarning, match="not in available"), pytest.raises(ConfigError, match="could not be started"):
        Encoder(bundle, device="cuda")


def test_folders_that_are_none(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(
        BundleError, match=r"sentence-transformers/all-MiniLM-L6-v2: no such folder, and .*HF_HUB_OFFLINE is set"
    ):
        Encoder("sentence-transformers/all-MiniLM-L6-v2")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(BundleError, match="is a file that mirrorkit pack did not write; give the folder"):
        Encoder(file)
    with pytest.raises(BundleError, match=r"neither mirrorkit.json nor an ONNX graph in it; .*mirrorkit export"):
        Encoder(tiny)


def test_a_changed_file_is_found_unless_verification_is_off(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = bundle / MODEL
    content = bytearray(file.read_bytes())
    place = content.index(table(4)[3].tobytes())  # a weight: the graph stays well-formed
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"model.onnx: changed or damaged \(sha256 "):
        Encoder(bundle)
    assert "not checked" not in caplog.text
    assert Encoder(bundle, verify=False).encode(["a"]).shape == (1, 8)
    assert f"{bundle}: files are not checked against their recorded hashes" in caplog.text
    (bundle / "tokenizer.json").write_bytes((bundle / "tokenizer.json").read_bytes()[:-1] + b" ")
    with pytest.raises(BundleError, match=r"model.onnx: changed"):
        Encoder(bundle)


def test_damaged_files(bundle: Path) -> None:
    (bundle / "tokenizer.json").write_text("{}", encoding="utf-8")
    write_manifest(described(bundle))
    with pytest.raises(BundleError, match=r"tokenizer.json: cannot be used as a tokenizer"):
        Encoder(bundle)
    (bundle / MODEL).write_bytes((bundle / MODEL).read_bytes()[:-40])
    write_manifest(described(bundle))
    with pytest.raises(BundleError, match="cannot be used as a tokenizer"):
        Encoder(bundle)
    with pytest.raises(BundleError, match=r"model.onnx: cannot be opened by ONNX Runtime [0-9.]+ \("):
        open_session(bundle / MODEL)
    (bundle / MODEL).write_bytes(b"")
    with pytest.raises(BundleError, match="is empty"):
        open_session(bundle / MODEL)
    with pytest.raises(BundleError, match=r"none.onnx: no such file"):
        open_session(bundle / "none.onnx")


def test_manifests_that_do_not_fit(bundle: Path) -> None:
    write_manifest(described(bundle, dim=9))
    with pytest.raises(BundleError, match=r"gives 8 dimensions, mirrorkit.json says 9"):
        Encoder(bundle)
    write_manifest(described(bundle, pooling=Pooling.MEAN_PADDED))
    with pytest.raises(BundleError, match="pooling mean-padded depends on the padding of a batch"):
        Encoder(bundle)
    outside = Variant("fp32", "../model.onnx", Precision.FP32, Graph.ONNX)
    write_manifest(described(bundle, variants={"fp32": outside}))
    with pytest.raises(BundleError, match=r"the path '../model.onnx' leads out of the bundle"):
        Encoder(bundle)
    write_manifest(described(bundle, variants={"fp32": Variant("fp32", "other.onnx", Precision.FP32, Graph.ONNX)}))
    with pytest.raises(BundleError, match="not among its files"):
        Encoder(bundle)
    raw = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))
    raw["schema_version"] = 99
    (bundle / "mirrorkit.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(BundleError, match="schema_version 99, this mirrorkit reads up to 3; upgrade"):
        Encoder(bundle)


@pytest.mark.parametrize("outputs", [["last_hidden_state"], ["last_hidden_state", "pooler_output"], ["logits"]])
def test_pooling_outside_the_graph(foreign: Callable[..., Path], outputs: list[str]) -> None:
    with pytest.raises(BundleError, match="pooling is not part of this graph; export the model with: mirrorkit export"):
        Encoder(foreign(outputs=outputs))


def test_foreign_folders_that_cannot_be_fed(foreign: Callable[..., Path]) -> None:
    inputs = ["input_ids", "attention_mask", "position_ids"]
    with pytest.raises(BundleError, match=r"takes input_ids .*position_ids tensor\(int64\); only integer input_ids"):
        Encoder(foreign(inputs=inputs))
    folder = foreign(inputs=inputs[:2])
    with pytest.raises(ConfigError, match=r"variant 'int8': .*folder holds fp32"):
        Encoder(folder, "int8")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"folder: tokenizer.json is missing"):
        Encoder(folder)
    (folder / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(BundleError, match=r"config.json: expected an object"):
        Encoder(folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(MirrorkitError, match=r"config.json: not a readable JSON file"):
        Encoder(folder)


def test_vectors_that_are_no_numbers_are_refused(foreign: Callable[..., Path]) -> None:
    folder = foreign()
    encoder = Encoder(folder)
    (word,) = encoder._encoding.opened.tokenizer.ids(["museum"])[0][1:-1][:1]
    rows = table(8000)
    rows[word] = np.inf
    save_graph(folder / MODEL, rows, ["input_ids", "attention_mask"], ["sentence_embedding"])
    encoder = Encoder(folder)
    with pytest.raises(BundleError, match=r"model.onnx: the vector of texts\[2\] holds NaN or infinity"):
        encoder.encode(["a", "b", "museum", "museum"])
    blocks = encoder.encode_iter(["a", "b", "c", "museum"], chunk=2)
    next(blocks)
    with pytest.raises(BundleError, match=r"texts\[3\]"):
        next(blocks)


def test_ids_that_the_graph_does_not_know(foreign: Callable[..., Path]) -> None:
    folder = foreign()
    save_graph(folder / MODEL, table(10), ["input_ids", "attention_mask"], ["sentence_embedding"])
    with pytest.raises(BundleError, match=r"model.onnx: failed on a batch of 1 x \d+ tokens \(.*out of"):
        Encoder(folder).encode(["The museum opens at nine."])


def test_without_onnxruntime(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MirrorkitError, match=r"onnxruntime is not installed; run: pip install 'mirrorkit\[onnx\]'"):
        Encoder(bundle)
