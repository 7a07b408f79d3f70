"""Test the model repositories for Triton: what they say, and that their steps together give the bundle's vectors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is served")

import onnxruntime
import tokenizers

from mirrorkit.cli.triton import triton
from mirrorkit.errors import BundleError, ConfigError, OutputError
from mirrorkit.exporter.triton.config import engine_batch, engine_widths, widths
from mirrorkit.exporter.triton.repository import write_repository
from mirrorkit.formats.bundle import PREFERENCE, VARIANT_FILES, Graph, Precision, Variant, read_bundle, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.engine import Backend, EngineMismatchError, Ids
from mirrorkit.formats.profiles import Profile
from mirrorkit.runtime.encoder import Encoder
from tests.bundles import bundle_of
from tests.engines import lookup_bundle, make_engine
from tests.exporter.triton.server import configs, load_python_model, model_config_schema, read_pbtxt, request

TEXTS = ["the cat", "naïve café", "", "a longer text about a cat that sat on a mat " * 3, "word " * 300, "日本"]


@pytest.fixture
def bundle(tiny: Path, tmp_path: Path) -> Path:
    return lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json", ["fp32", "fp16", "int8"])


@pytest.fixture
def write(bundle: Path, tmp_path: Path) -> Callable[..., Path]:
    def write(**options: Any) -> Path:
        write_repository(bundle, tmp_path / "repository", **options)
        return tmp_path / "repository"

    return write


def test_the_models_of_a_repository_fit_together(write: Callable[..., Path]) -> None:
    models = configs(write(name="minilm", max_batch=32, instances=2))
    assert list(models) == ["minilm", "minilm_encoder", "minilm_tokenizer"]
    ensemble, encoder, tokenizer = models.values()
    assert {model["max_batch_size"] for model in models.values()} == {32}
    assert {model["version_policy"]["latest"]["num_versions"] for model in models.values()} == {1}
    assert ensemble["input"] == tokenizer["input"] == [{"name": "text", "data_type": "TYPE_STRING", "dims": [1]}]
    assert (
        ensemble["output"]
        == encoder["output"]
        == [{"name": "sentence_embedding", "data_type": "TYPE_FP32", "dims": [8]}]
    )
    assert encoder["input"] == tokenizer["output"]
    assert encoder["input"][0] == {"name": "input_ids", "data_type": "TYPE_INT64", "dims": [-1]}
    first, second = ensemble["ensemble_scheduling"]["step"]
    assert (first["model_name"], second["model_name"]) == ("minilm_tokenizer", "minilm_encoder")
    assert set(first["output_map"].values()) == set(second["input_map"].values()) == {"input_ids", "attention_mask"}
    assert encoder["platform"] == "onnxruntime_onnx"
    assert encoder["instance_group"] == [{"count": 2, "kind": "KIND_GPU"}]
    assert encoder["dynamic_batching"]["max_queue_delay_microseconds"] > 0
    assert tokenizer["parameters"]["widths"]["string_value"] == "16,32,64"


def test_warm_up_data_is_there_and_of_the_size_that_is_told(write: Callable[..., Path], tiny: Path) -> None:
    repository = write(name="m", max_batch=4)
    for name, model in configs(repository).items():
        for sample in model.get("model_warmup", []):
            for field, value in sample["inputs"].items():
                content = (repository / name / "warmup" / value["input_data_file"]).read_bytes()
                if value["data_type"] == "TYPE_STRING":
                    assert int.from_bytes(content[:4], "little") == len(content) - 4
                else:
                    row = np.frombuffer(content, dtype=np.int64)
                    assert row.shape == tuple(value["dims"])
                    assert row.any(), field
    assert [s["batch_size"] for s in configs(repository)["m_encoder"]["model_warmup"]] == [1, 4]


def test_the_configurations_are_what_tritons_own_schema_says(write: Callable[..., Path], bundle: Path) -> None:
    schema = model_config_schema()
    json_format = pytest.importorskip("google.protobuf.json_format")
    text_format = pytest.importorskip("google.protobuf.text_format")
    repository = write(name="m")
    for name, ours in configs(repository).items():
        text = (repository / name / "config.pbtxt").read_text(encoding="utf-8")
        parsed = json_format.MessageToDict(
            text_format.Parse(text, schema.ModelConfig()), preserving_proto_field_name=True
        )
        assert parsed["name"] == name
        assert json.loads(json.dumps(ours), parse_int=str) == json.loads(json.dumps(parsed), parse_int=str)


def test_the_tokenizer_step_gives_the_ids_of_tokenizers(
    write: Callable[..., Path], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_python_model(write(name="m") / "m_tokenizer", monkeypatch)
    reference = tokenizers.Tokenizer.from_file(str(tiny / "tokenizer.json"))
    reference.no_padding()
    reference.enable_truncation(64)
    groups = [TEXTS[:2], TEXTS[2:3], TEXTS[3:]]
    for texts, response in zip(groups, model.execute([request(*g) for g in groups]), strict=True):
        arrays = response.arrays()
        ids, mask = arrays["input_ids"], arrays["attention_mask"]
        assert ids.dtype == mask.dtype == np.int64
        expected = [reference.encode(text).ids for text in texts]
        assert ids.shape == (len(texts), next(w for w in (16, 32, 64) if w >= max(map(len, expected))))
        for row, kept, right in zip(ids, mask, expected, strict=True):
            assert row[: len(right)].tolist() == right
            assert kept.sum() == len(right)
            assert not row[len(right) :].any()  # the tiny model pads with 0


def test_a_request_that_is_no_text_fails_alone(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_python_model(write(name="m") / "m_tokenizer", monkeypatch)
    good, bad, more = model.execute([request("a"), request("b", b"\xff"), request("\N{CAT}", "c")])
    assert bad.error == "text: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    assert (len(good.arrays()["input_ids"]), len(more.arrays()["input_ids"])) == (1, 2)
    assert [len(r.output_tensors) for r in model.execute([request(b"\xff")])] == [0]


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_the_steps_together_give_the_vectors_of_the_encoder(
    write: Callable[..., Path], bundle: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    repository = write(name="m", variant=variant, device="cpu")
    model = load_python_model(repository / "m_tokenizer", monkeypatch)
    config = configs(repository)["m_encoder"]
    session = onnxruntime.InferenceSession(str(repository / "m_encoder" / "1" / config["default_model_filename"]))
    vectors = []
    for response in model.execute([request(*TEXTS[:3]), request(*TEXTS[3:])]):
        vectors += list(session.run([config["output"][0]["name"]], response.arrays())[0])
    np.testing.assert_allclose(vectors, Encoder(bundle, variant).encode(TEXTS), rtol=1e-5, atol=1e-4)
    assert config["instance_group"][0]["kind"] == "KIND_CPU"


def heads_of(folder: Path) -> dict[str, int]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {"num_heads": config["num_attention_heads"], "hidden_size": config["hidden_size"]}


def test_a_fused_graph_stays_beside_the_weights_that_it_reads(
    tiny: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    export = pytest.importorskip("mirrorkit.exporter.graph.fusion", reason="needs the export extra")
    whole = Path(shutil.copytree(bundle_of(tiny, ["fp32"], tmp_path_factory), tmp_path / "whole"))
    export.fuse(whole / VARIANT_FILES["fp32"], whole / VARIANT_FILES["fp32-fused"], **heads_of(tiny))
    described = read_bundle(whole)
    fused = Variant(
        "fp32-fused", VARIANT_FILES["fp32-fused"], Precision.FP32, Graph.ONNXRUNTIME, (VARIANT_FILES["fp32"],)
    )
    variants = {**described.variants, "fp32-fused": fused}
    write_manifest(replace(described, variants=variants, files=record_files(whole), preference=PREFERENCE))
    result = write_repository(whole, tmp_path / "served", name="m", variant="fp32", device="cpu")
    assert result.variant == "fp32-fused"
    folder = tmp_path / "served" / "m_encoder" / "1"
    assert sorted(file.name for file in folder.iterdir()) == ["model.onnx", "model_fused.onnx"]
    served = configs(tmp_path / "served")["m_encoder"]["default_model_filename"]
    assert (folder / served).read_bytes() == (whole / VARIANT_FILES["fp32-fused"]).read_bytes()


def test_auto_is_what_suits_the_device(write: Callable[..., Path], bundle: Path, tmp_path: Path) -> None:
    assert json.loads((write() / "triton.json").read_text(encoding="utf-8"))["variant"] == "fp16"
    assert write_repository(bundle, tmp_path / "cpu", device="cpu").variant == "int8"
    assert sorted(configs(write_repository_again(bundle, tmp_path))) == ["bundle", "bundle_encoder", "bundle_tokenizer"]


def write_repository_again(bundle: Path, tmp_path: Path) -> Path:
    return Path(write_repository(bundle, tmp_path / "again").repository)


def test_an_engine_is_served_with_all_its_profiles(write: Callable[..., Path], bundle: Path, tmp_path: Path) -> None:
    profiles = ["min=1x1,opt=1x16,max=1x64", "min=1x1,opt=4x16,max=64x32", "min=1x1,opt=4x32,max=24x64"]
    engine = make_engine(tmp_path / "engine", bundle, profiles, ids=Ids.INT32)
    repository = write(name="m", engine=engine)
    config = configs(repository)["m_encoder"]
    assert config["platform"] == "tensorrt_plan"
    assert config["max_batch_size"] == 24  # more than that none takes at 64 tokens
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_GPU", "profile": ["0", "1", "2"]}]
    assert config["input"][0]["data_type"] == "TYPE_INT32"
    assert (repository / "m_encoder" / "1" / "model.plan").read_bytes() == b"engine"
    assert len((repository / "m_encoder" / "warmup" / "input_ids").read_bytes()) == 16 * 4
    with pytest.raises(ConfigError, match="max_batch 25: the engine takes batches of 1 to 24 at every length of 16 to"):
        write(engine=engine, max_batch=25)


@pytest.mark.parametrize(
    ("profiles", "max_length", "expected"),
    [
        (["min=1x8,opt=1x8,max=4x64"], 64, ((16, 32, 64), 4)),
        (["1x64", "min=2x64,opt=4x64,max=8x64"], 64, ((64,), 8)),
        (["1x64", "8x64"], 64, ((64,), 1)),  # nothing takes two to seven
        (["min=1x20,opt=2x30,max=4x50"], 50, ((20, 32, 50), 4)),
    ],
)
def test_widths_and_batches_that_an_engine_takes(profiles: list[str], max_length: int, expected: Any) -> None:
    parsed = [Profile.parse(text) for text in profiles]
    found = engine_widths(parsed, max_length)
    assert (found, engine_batch(parsed, found)) == expected


def test_widths_end_with_the_longest_text() -> None:
    assert widths(512) == (16, 32, 64, 128, 256, 512)
    assert widths(100) == (16, 32, 64, 100)
    assert widths(8) == (8,)


def test_engines_that_cannot_be_served(write: Callable[..., Path], bundle: Path, tmp_path: Path, tiny: Path) -> None:
    rtx = make_engine(tmp_path / "rtx", bundle, backend=Backend.RTX)
    with pytest.raises(ConfigError, match=r"rtx: was built by tensorrt-rtx, which no Triton server runs; build one "):
        write(engine=rtx)
    large = make_engine(tmp_path / "large", bundle, ["min=8x1,opt=8x16,max=16x64"])
    with pytest.raises(ConfigError, match=r"no profile of the engine takes one text of 64 tokens \(min=8x1.*min=1x1"):
        write(engine=large)
    other = lookup_bundle(tmp_path / "other", tiny / "tokenizer.json", max_length=32)
    with pytest.raises(EngineMismatchError, match="was built from another model"):
        write(engine=make_engine(tmp_path / "foreign", other))
    engine = make_engine(tmp_path / "engine", bundle)
    with pytest.raises(ConfigError, match="variant int8: cannot be combined with an engine"):
        write(engine=engine, variant="int8")
    with pytest.raises(ConfigError, match="device cpu: an engine runs only on cuda"):
        write(engine=engine, device="cpu")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "a/b"}, "name 'a/b': may hold letters"),
        ({"name": "é"}, "name 'é': may hold letters"),
        ({"device": "tpu"}, "device 'tpu': must be one of cpu, cuda"),
        ({"max_batch": 0}, "max_batch 0: must be at least 1"),
        ({"instances": 0}, "instances 0: must be at least 1"),
        ({"variant": "fp64"}, "variant 'fp64': "),
    ],
)
def test_options_that_cannot_be(write: Callable[..., Path], options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        write(**options)


def test_folders_that_cannot_be(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is inside the bundle; write the repository beside it"):
        write_repository(bundle, bundle / "triton")
    with pytest.raises(BundleError, match="give a bundle's folder"):
        write_repository(tmp_path, tmp_path / "out")
    file = bundle / "onnx" / "model_fp16.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"model_fp16.onnx: changed or damaged"):
        write_repository(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(bundle: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(triton)
    out = str(tmp_path / "repository")
    done = CliRunner().invoke(app, [str(bundle), "-o", out, "--name", "m", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "repository": out,
        "model": "m",
        "platform": "onnxruntime_onnx",
        "variant": "fp16",
        "engine_version": None,
        "dim": 8,
        "max_batch": 64,
        "max_length": 64,
        "widths": [16, 32, 64],
    }
    again = CliRunner().invoke(app, [str(bundle), "-o", out])
    assert again.exit_code == 2
    assert "exists and is not empty; give another folder or --overwrite" in again.output


def test_a_repository_can_be_replaced_and_nothing_else(write: Callable[..., Path], tmp_path: Path) -> None:
    write(name="one")
    assert sorted(configs(write(name="two", overwrite=True))) == ["two", "two_encoder", "two_tokenizer"]
    (tmp_path / "repository" / "triton.json").unlink()
    with pytest.raises(OutputError, match="so it is not overwritten"):
        write(overwrite=True)


@pytest.mark.parametrize(
    ("location", "complaint"),
    [("../../w.data", "not a file in its folder"), ("w.data", "which the bundle does not name")],
)
def test_weights_that_a_server_would_look_for_elsewhere_are_refused(
    write: Callable[..., Path], bundle: Path, tmp_path: Path, location: str, complaint: str
) -> None:
    import onnx

    graph = bundle / VARIANT_FILES["fp32"]
    onnx.save(onnx.load(graph), graph, save_as_external_data=True, location="w.data", size_threshold=1024)
    shutil.copyfile(graph.with_name("w.data"), tmp_path / "w.data")
    model = onnx.load(graph, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    onnx.save(model, graph)
    write_manifest(replace(read_bundle(bundle), files=record_files(bundle)))
    with pytest.raises(BundleError, match=complaint):
        write(variant="fp32")
    assert not (tmp_path / "repository").exists()


def test_the_reader_of_configurations_refuses_what_is_malformed() -> None:
    assert read_pbtxt('name: "a\\"b"\ninput {\n  dims: -1\n}\n') == {"name": 'a"b', "input": [{"dims": [-1]}]}
    for text in ("input {", "name: 1 name: 2", "name = 3"):
        with pytest.raises(AssertionError):
            read_pbtxt(text)
