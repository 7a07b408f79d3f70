"""Stored vectors tell whether an encoder is the one that made them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra, to make what is run")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
pytest.importorskip("pyarrow", reason="needs the parquet extra")

from mirrorkit import Encoder, check_vectors, encode_file
from mirrorkit.errors import BundleError, ConfigError, CorpusError, OutputError
from mirrorkit.formats.vectors_record import beside, read_record
from mirrorkit.verification.against import Verdict
from tests.bundles import bundle_of, make_foreign

KINDS = [".npy", ".jsonl", ".parquet"]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tiny, ("fp32", "int8"), tmp_path_factory)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("one text\nanother\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_that_made_them(kind: str, bundle: Path, texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"prompt": "query: ", "truncate_dim": 8, "normalize": True}
    made = encode_file(bundle, str(texts), tmp_path / f"out{kind}", variant="fp32", **options)
    found = check_vectors(bundle, tmp_path / f"out{kind}")
    assert (found.verdict, found.variant, found.max_abs, found.dim) == (Verdict.SAME, "fp32", 0.0, 8)
    assert made.fingerprint == found.fingerprint == found.recorded_fingerprint == Encoder(bundle, "fp32").fingerprint
    record = read_record(tmp_path / f"out{kind}")
    expected = Encoder(bundle, "fp32").encode([c.text for c in record.canaries], **options)
    np.testing.assert_allclose([c.vector for c in record.canaries], expected, rtol=0, atol=1e-6)


def test_another_variant_is_close_and_says_what_it_costs(bundle: Path, texts: Path, tmp_path: Path) -> None:
    encode_file(bundle, str(texts), tmp_path / "out.npy", variant="fp32", output_type="binary")
    found = check_vectors(bundle, tmp_path / "out.npy", variant="int8")
    assert (found.verdict, found.variant, found.recorded_variant) == (Verdict.CLOSE, "int8", "fp32")
    assert found.fingerprint != found.recorded_fingerprint
    record = read_record(tmp_path / "out.npy")
    then = np.array([c.vector for c in record.canaries])
    other = Encoder(bundle, "int8")
    now = np.concatenate([other.encode([c.text]) for c in record.canaries]).astype(np.float64)
    assert found.max_abs == pytest.approx(np.abs(then - now).max(), abs=1e-6)
    assert found.similarity_change == pytest.approx(np.abs(then @ then.T - now @ now.T).max(), abs=1e-5)
    assert found.similarity_change is not None
    assert f"results less than {2 * found.similarity_change:.4f} apart may change places" in found.lines()[-1]


def test_another_model_is_different(bundle: Path, tiny: Path, texts: Path, tmp_path: Path) -> None:
    foreign = make_foreign(tmp_path / "foreign", tiny / "tokenizer.json")
    encode_file(foreign, str(texts), tmp_path / "out.npy")
    found = check_vectors(bundle, tmp_path / "out.npy")
    assert (found.verdict, found.ok, found.recorded_dim, found.cosine_min) == (Verdict.DIFFERENT, False, 8, None)
    encode_file(bundle, str(texts), tmp_path / "cut.npy", truncate_dim=8)
    record = beside(tmp_path / "cut.npy")
    value = json.loads(record.read_text(encoding="utf-8"))
    for canary, other in zip(value["canaries"], value["canaries"][::-1], strict=True):
        canary["text"] = other["text"]
    record.write_text(json.dumps(value), encoding="utf-8")
    found = check_vectors(bundle, tmp_path / "cut.npy")
    assert (found.verdict, found.fingerprint) == (Verdict.DIFFERENT, found.recorded_fingerprint)  # yet other vectors


def test_whatever_decides_vectors_decides_the_fingerprint(tiny: Path, tmp_path: Path) -> None:
    folder = make_foreign(tmp_path / "a", tiny / "tokenizer.json")
    first = Encoder(folder).fingerprint
    assert Encoder(shutil.copytree(folder, tmp_path / "b")).fingerprint == first
    assert (
        Encoder(make_foreign(tmp_path / "c", tiny / "tokenizer.json", max_position_embeddings=32)).fingerprint != first
    )
    other = shutil.copytree(folder, tmp_path / "d")
    value = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    value["added_tokens"][0]["lstrip"] = True
    (other / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")
    assert Encoder(other).fingerprint != first
    import onnx

    graph = onnx.load(folder / "onnx" / "model.onnx")
    outside = shutil.copytree(folder, tmp_path / "e") / "onnx" / "model.onnx"
    onnx.save(graph, outside, save_as_external_data=True, location="weights.data", size_threshold=500)
    before = Encoder(tmp_path / "e").fingerprint
    weights = outside.with_name("weights.data")
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert Encoder(tmp_path / "e").fingerprint != before


def test_an_encoder_that_is_expected(bundle: Path, texts: Path, tmp_path: Path) -> None:
    known = Encoder(bundle, "fp32").fingerprint
    assert Encoder(bundle, "fp32", expect=known[:8].upper()).fingerprint == known
    with pytest.raises(
        BundleError, match=f"int8 has the fingerprint .*, expected {known}; vectors of the two must not"
    ):
        Encoder(bundle, "int8", expect=known)
    with pytest.raises(BundleError, match="must not be mixed"):
        encode_file(bundle, str(texts), tmp_path / "out.npy", variant="int8", expect=known)
    assert not (tmp_path / "out.npy").exists()
    for wrong in ("", known[:7], "xyz" * 5, known + "0x"):
        with pytest.raises(ConfigError, match="must be at least 8 hex digits"):
            Encoder(bundle, "fp32", expect=wrong)


def test_a_record_that_says_nothing_of_these_vectors(bundle: Path, texts: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    encode_file(bundle, str(texts), tmp_path / "out.npy")
    record = beside(tmp_path / "out.npy")
    text = record.read_text(encoding="utf-8")
    np.save(tmp_path / "out.npy", np.zeros((2, 4), np.float32))
    with pytest.raises(CorpusError, match=r"is of other vectors than those in out\.npy"):
        check_vectors(bundle, tmp_path / "out.npy")
    record.unlink()
    with pytest.raises(CorpusError, match=r"no out\.npy\.mirrorkit\.json beside it"):
        check_vectors(bundle, tmp_path / "out.npy")
    parquet.write_table(pa.table({"x": [1]}), tmp_path / "plain.parquet")
    with pytest.raises(CorpusError, match="its metadata does not say what made these vectors"):
        check_vectors(bundle, tmp_path / "plain.parquet")
    (tmp_path / "noise.parquet").write_bytes(b"noise")
    with pytest.raises(CorpusError, match="cannot be read as parquet"):
        check_vectors(bundle, tmp_path / "noise.parquet")
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(CorpusError, match="is not a file"):
        check_vectors(bundle, tmp_path / "pipe.parquet")
    for old, new, said in SPOILT:
        assert old in text
        record.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(CorpusError, match=said):
            check_vectors(bundle, tmp_path / "out.npy")


SPOILT = [
    ('"kind": "mirrorkit-vectors"', '"kind": 1', "kind must be"),
    ('"schema_version": 1', '"schema_version": 99', "upgrade mirrorkit"),
    ('"max_length": ', '"max_length": 1e30, "x": ', "max_length must be"),
    ('"similarity": "cosine"', '"similarity": "jaccard"', "similarity .* must be one of cosine, "),
    ('"truncate_dim": null', '"truncate_dim": -1', "truncate_dim must be at least 1"),
    ('"vector": [', '"vector": [1.0,', "vectors of one length"),
    ('"vector": [', '"vector": [1e999,', "NaN|one length|readable"),
    ('"prompt": ""', f'"prompt": "{"x" * 10_001}"', "longer than"),
    ('"canaries": [', '"canaries": [], "more": [', "nothing can be compared"),
    ("{", "", "not a readable JSON file"),
]


def test_what_is_not_a_record_is_kept(bundle: Path, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "out.npy.mirrorkit.json").write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(OutputError, match="was not written by mirrorkit"):
        encode_file(bundle, str(texts), tmp_path / "out.npy", overwrite=True)
    assert not (tmp_path / "out.npy").exists()
    assert (tmp_path / "out.npy.mirrorkit.json").read_text(encoding="utf-8") == '{"mine": 1}'
