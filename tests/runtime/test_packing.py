"""`mirrorkit pack`: a bundle in one file gives the bits that its folder gives."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="needs the export extra")
pytest.importorskip("onnx", reason="needs the export extra")

from mirrorkit import BundleError, ConfigError, Encoder, OutputError, check, pack, unpack
from mirrorkit.formats.packed import read_packed
from tests.bundles import add_goldens, bundle_of
from tests.conftest import REAL_TEXTS
from tests.packing import SPOILT, with_shared_weights

VARIANTS = ("fp32", "fp32-fused")


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of two graphs, one of which has its weights from the file of the other; do not write into it."""
    folder = tmp_path_factory.mktemp("packing") / "bundle"
    shutil.copytree(bundle_of(tiny, ["fp32"], tmp_path_factory), folder)
    with_shared_weights(folder)
    add_goldens(folder, REAL_TEXTS)
    return folder


@pytest.fixture(scope="module")
def file(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("packed") / "encoder.mkit"
    pack(bundle, made)
    return made


@pytest.mark.parametrize("variant", VARIANTS)
def test_vectors_are_those_of_the_folder(variant: str, bundle: Path, file: Path) -> None:
    from_folder, from_file = Encoder(bundle, variant, threads=1), Encoder(file, variant, threads=1)
    expected = from_folder.encode(REAL_TEXTS)
    np.testing.assert_array_equal(from_file.encode(REAL_TEXTS), expected)
    assert from_file.fingerprint == from_folder.fingerprint
    copy = pickle.loads(pickle.dumps(from_file))
    np.testing.assert_array_equal(copy.encode(REAL_TEXTS[:3]), from_folder.encode(REAL_TEXTS[:3]))


def test_the_file_may_be_replaced_under_an_encoder(bundle: Path, tmp_path: Path) -> None:
    pack(bundle, tmp_path / "e.mkit")
    encoder = Encoder(tmp_path / "e.mkit", "fp32-fused", threads=1)
    expected = encoder.encode(REAL_TEXTS)
    pack(bundle, tmp_path / "e.mkit", variants=["fp32"], overwrite=True)
    np.testing.assert_array_equal(encoder.encode(REAL_TEXTS), expected)


def test_only_what_is_asked_for_is_taken_along(bundle: Path, tmp_path: Path) -> None:
    made = pack(bundle, tmp_path / "fp32.mkit", variants=["fp32"])
    assert made.variants == ("fp32",)
    assert made.bytes == (tmp_path / "fp32.mkit").stat().st_size
    members = read_packed(tmp_path / "fp32.mkit").members
    assert len(members) == made.files
    assert "onnx/model.onnx" in members
    assert "onnx/model_fused.onnx" not in members
    assert not [name for name in members if name.endswith(".safetensors")]
    assert list(json.loads(bytes(members["mirrorkit.json"]))["variants"]) == ["fp32"]
    fused = read_packed(pack(bundle, tmp_path / "fused.mkit", variants=["fp32-fused"]).out).members
    assert {"onnx/model.onnx", "onnx/model_fused.onnx"} <= set(fused)


def test_the_same_bundle_makes_the_same_bytes(bundle: Path, file: Path, tmp_path: Path) -> None:
    pack(bundle, tmp_path / "again.mkit")
    assert (tmp_path / "again.mkit").read_bytes() == file.read_bytes()


def test_unpacked_it_is_the_bundle_again(bundle: Path, file: Path, tmp_path: Path) -> None:
    unpack(file, tmp_path / "unpacked")
    assert check(tmp_path / "unpacked").ok
    files = [path.relative_to(tmp_path / "unpacked") for path in (tmp_path / "unpacked").rglob("*") if path.is_file()]
    for name in files:
        if name.name != "mirrorkit.json":
            assert (tmp_path / "unpacked" / name).read_bytes() == (bundle / name).read_bytes()
    pack(tmp_path / "unpacked", tmp_path / "again.mkit")
    assert (tmp_path / "again.mkit").read_bytes() == file.read_bytes()


def test_check_runs_what_is_packed_and_finds_damage(file: Path, tmp_path: Path) -> None:
    found = check(file)
    assert found.ok
    assert set(found.variants) == set(VARIANTS)
    raw = bytearray(file.read_bytes())
    data = read_packed(file).members["onnx/model.onnx"]
    raw[raw.index(bytes(data)) + len(data) // 2] ^= 1
    (tmp_path / "damaged.mkit").write_bytes(raw)
    found = check(tmp_path / "damaged.mkit")
    assert not found.ok
    assert any("changed or damaged" in problem.what for problem in found.problems)
    with pytest.raises(BundleError, match="changed or damaged"):
        Encoder(tmp_path / "damaged.mkit", "fp32")


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_an_error(how: str, file: Path, tmp_path: Path) -> None:
    (tmp_path / "spoilt.mkit").write_bytes(SPOILT[how](file.read_bytes()))
    for use in (Encoder, lambda path: unpack(path, tmp_path / "out")):
        with pytest.raises(BundleError) as caught:
            use(tmp_path / "spoilt.mkit")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_weights_that_lead_elsewhere_are_refused(bundle: Path, tmp_path: Path) -> None:
    import onnx

    from mirrorkit.formats.bundle import record_files
    from mirrorkit.formats.packed import write_packed

    model = onnx.load(bundle / "onnx" / "model_fused.onnx", load_external_data=False)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.external_data)
    value = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))
    for number, location in enumerate(("../mirrorkit.json", "/etc/passwd", "nothing", "_ORT_MEM_ADDR_/1")):
        tensor.external_data[0].value = location
        files = {name: (bundle / name).read_bytes() for name in record_files(bundle)}
        files["onnx/model_fused.onnx"] = model.SerializeToString()
        digests = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
        }
        with (tmp_path / f"{number}.mkit").open("wb") as out:
            write_packed(out, json.dumps({**value, "files": digests}).encode(), files.items())
        with pytest.raises(BundleError, match="reads weights from"):
            Encoder(tmp_path / f"{number}.mkit", "fp32-fused")


def test_what_cannot_be_is_said_before_anything_is_written(bundle: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.mkit"):
        pack(bundle, tmp_path / "encoder.zip")
    with pytest.raises(ConfigError, match="variant 'int3'"):
        pack(bundle, tmp_path / "e.mkit", variants=["int3"])
    with pytest.raises(BundleError, match="a folder is needed here"):
        pack(file, tmp_path / "e.mkit")
    with pytest.raises(OutputError, match="exists"):
        pack(bundle, file)
    with pytest.raises(BundleError, match="no such file"):
        unpack(tmp_path / "none.mkit", tmp_path / "out")
    damaged = tmp_path / "bundle"
    shutil.copytree(bundle, damaged)
    (damaged / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        pack(damaged, tmp_path / "e.mkit")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_who_needs_a_folder_says_so(file: Path) -> None:
    from mirrorkit.formats.bundle import read_bundle
    from mirrorkit.runtime.hub import open_bundle

    for use in (read_bundle, open_bundle):
        with pytest.raises(BundleError, match="mirrorkit unpack"):
            use(file)


def mirrorkit(*words: object) -> str:
    from mirrorkit.cli.app import app

    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_line(bundle: Path, tmp_path: Path) -> None:
    packed = tmp_path / "e.mkit"
    (tmp_path / "texts.txt").write_text("a cat\na dog\n", encoding="utf-8")
    told = mirrorkit("pack", bundle, "-o", packed, "--variants", "fp32", "--json")
    assert json.loads(told)["variants"] == ["fp32"]
    mirrorkit("encode", packed, tmp_path / "texts.txt", "-o", tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), Encoder(bundle, "fp32").encode(["a cat", "a dog"]))
    mirrorkit("unpack", packed, "-o", tmp_path / "folder")
    assert (tmp_path / "folder" / "mirrorkit.json").is_file()
