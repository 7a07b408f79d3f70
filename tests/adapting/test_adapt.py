"""Adapters: the maps find what was put in, the numbers are right, and no other encoder is taken for its own."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
from typer.testing import CliRunner, Result

from mirrorkit.adapting.adapt import adapt
from mirrorkit.adapting.fit import _gradients, _layer, fitted
from mirrorkit.assets.paths import GRADED
from mirrorkit.cli.app import app
from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.formats.adapter import Adapter, AdapterRecord, Map, Recalls, Side, read_adapter, write_adapter
from mirrorkit.formats.tensors import read_tensors, write_tensors
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.files.encode_file import encode_file
from mirrorkit.text.ragged import Floats
from mirrorkit.verification.against import Verdict, check_vectors
from tests.exports import edited
from tests.lookups import MANY, describe, lookup_bundle

TEXTS = [text for row in GRADED.read_text(encoding="utf-8").splitlines() for text in row.split("\t")[1:]]


def command(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    file.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def old(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookup_bundle(tmp_path_factory.mktemp("old") / "old", tiny)


@pytest.fixture(scope="module")
def new(old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle whose token vectors are those of the old one, rotated."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    return changed(old, tmp_path_factory.mktemp("new") / "new", lambda table: table @ rotation)


@pytest.fixture(scope="module")
def strange(old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle whose token vectors have nothing to do with those of the old one."""
    other = np.random.default_rng(0).normal(size=(MANY, 8))
    return changed(old, tmp_path_factory.mktemp("strange") / "strange", lambda _: other)


def changed(old: Path, folder: Path, change: Callable[[Any], Any]) -> Path:
    from onnx import numpy_helper

    def put(model: Any) -> None:
        (weights,) = (one for one in model.graph.initializer if list(one.dims) == [MANY, 8])
        table = change(numpy_helper.to_array(weights)).astype(np.float32)
        weights.CopyFrom(numpy_helper.from_array(table, weights.name))

    shutil.copytree(old, folder)
    for file in (folder / "onnx").glob("*.onnx"):
        edited(file, file, put)
    describe(folder)
    return folder


@pytest.fixture(scope="module")
def made(old: Path, new: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "adapter"
    result = adapt(old, new, corpus, out)
    assert result.published
    return out


def drawn(count: int, dim: int, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def side(dim: int, name: str = "a") -> Side:
    return Side(name * 64, "fp32", dim)


def adapter_of(one: Any, new: int, old: int, *, normalized: bool = False) -> Adapter:
    recalls = Recalls(None, 1.0, 1.0, 20, 200)
    record = AdapterRecord(
        str(one.map), one.rank, side(new), side(old, "b"), "dot", normalized, recalls, "c" * 64, {"numpy": "2"}
    )
    return Adapter(record, one.weights)


def test_a_rotation_is_found_again() -> None:
    x = drawn(500, 16, 0)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0].astype(np.float32)
    one = next(fitted(x, x @ rotation + 0.25, 0))
    assert one.map is Map.ORTHOGONAL
    np.testing.assert_allclose(one.weights["weight"], rotation, atol=1e-5)
    np.testing.assert_allclose(adapter_of(one, 16, 16)(x), x @ rotation + 0.25, atol=1e-5)


def test_the_rotation_is_that_of_scipy() -> None:
    scipy = pytest.importorskip("scipy.linalg", reason="needs scipy")
    x, y = drawn(300, 12, 0), drawn(300, 12, 1)
    expected, _ = scipy.orthogonal_procrustes(x - x.mean(0), y - y.mean(0))
    np.testing.assert_allclose(next(fitted(x, y, 0)).weights["weight"], expected, atol=1e-4)


def test_an_affine_map_of_low_rank_is_found_again_and_of_another_length() -> None:
    rng = np.random.default_rng(2)
    x = drawn(800, 16, 0)
    y = (x @ rng.normal(size=(16, 3)) @ rng.normal(size=(3, 12)) + 0.5).astype(np.float32)
    low = [one for one in fitted(x, y, 0) if one.map is Map.LOW_RANK]
    assert sorted({one.rank for one in low}) == [3, 6, 12]
    small = min(low, key=lambda one: one.rank)
    np.testing.assert_allclose(adapter_of(small, 16, 12)(x), y, atol=0.02)


def test_a_layer_is_fitted_to_what_is_not_affine() -> None:
    x = drawn(4000, 8, 0)
    y = np.abs(x)
    maps = {one.map: one for one in fitted(x, y, 0)}
    held_out = drawn(500, 8, 1)
    error = {kind: np.square(adapter_of(one, 8, 8)(held_out) - np.abs(held_out)).mean() for kind, one in maps.items()}
    assert error[Map.MLP] < error[Map.LOW_RANK] / 2


def test_the_gradients_are_those_of_differences() -> None:
    rng = np.random.default_rng(0)
    layer: Any = {"hidden": rng.normal(size=(4, 3)), "hidden_bias": rng.normal(size=3), "out": rng.normal(size=(3, 2))}
    x: Any = rng.normal(size=(6, 4))
    y: Any = rng.normal(size=(6, 2))

    def loss(of: Any) -> float:
        return float(np.square(_layer(of, x) - y).sum() / 2 / len(x))

    found = _gradients(layer, x, y)
    for name, values in layer.items():
        for place in np.ndindex(values.shape):
            up, down = ({**layer, name: values + step * _one(values.shape, place)} for step in (1e-6, -1e-6))
            assert found[name][place] == pytest.approx((loss(up) - loss(down)) / 2e-6, abs=1e-6)


def _one(shape: tuple[int, ...], place: tuple[int, ...]) -> Any:
    values = np.zeros(shape)
    values[place] = 1
    return values


def test_tensors_are_those_of_safetensors(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="needs safetensors")
    tensors: dict[str, Any] = {"a": drawn(3, 5, 0), "b": np.zeros(0, np.float32), "c": np.array(2, np.float32)}
    write_tensors(tmp_path / "ours", tensors)
    library.save_file({name: np.array(values) for name, values in tensors.items()}, tmp_path / "theirs")
    read: list[Any] = [library.load_file(tmp_path / "ours"), read_tensors(tmp_path / "theirs")]
    for values in (*read, read_tensors(tmp_path / "ours")):
        assert {name: one.shape for name, one in values.items()} == {name: one.shape for name, one in tensors.items()}
        assert all((values[name] == one).all() for name, one in tensors.items())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00" * 8,
        b"\xff" * 16,
        (20).to_bytes(8, "little") + b"[" * 20,
        (200).to_bytes(8, "little") + b"{}",
        *(
            len(text).to_bytes(8, "little") + text + b"\x00" * 8
            for text in (
                b'{"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}',
                b'{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}',
                b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}}',
                b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}',
                b'{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
                b'{"a": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}',
                b'{"a": 3}',
                b"[1]",
            )
        ),
    ],
)
def test_what_is_no_file_of_tensors_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(ModelError, match="x: "):
        read_tensors(tmp_path / "x")


def test_adapted_queries_find_what_full_encoding_finds(old: Path, new: Path, made: Path, corpus: Path) -> None:
    adapted, plain = Encoder(new, adapter=made), Encoder(new)
    stored = Encoder(old).encode(TEXTS)
    np.testing.assert_allclose(adapted.encode(TEXTS), stored, atol=2e-3)
    assert np.abs(plain.encode(TEXTS) - stored).max() > 0.5
    one = adapted.encode([TEXTS[0]])
    np.testing.assert_allclose(one, stored[:1], atol=2e-3)
    assert np.linalg.norm(adapted.encode(TEXTS), axis=1) == pytest.approx(1, abs=1e-5)
    record = read_adapter(made).record
    assert record.map == "orthogonal"
    assert record.recall_at_10.after >= 0.98
    assert record.recall_at_10.before is not None
    assert record.recall_at_10.before < 0.5
    assert (record.old.fingerprint, record.new.fingerprint) == (Encoder(old).fingerprint, plain.fingerprint)
    assert adapted.fingerprint not in (plain.fingerprint, record.old.fingerprint)
    again = pickle.loads(pickle.dumps(adapted))
    assert again.fingerprint == adapted.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS[:5]), adapted.encode(TEXTS[:5]))


def test_no_other_encoder_is_taken(old: Path, new: Path, made: Path) -> None:
    with pytest.raises(ModelError, match="is the old encoder of this `adapter`"):
        Encoder(old, adapter=made)
    with pytest.raises(ModelError, match="takes vectors of"):
        Encoder(new, "fp32", adapter=made)
    encoder = Encoder(new, adapter=made)
    for wrong in ({"truncate_dim": 4}, {"normalize": True}, {"output_type": "int8"}):
        with pytest.raises(ConfigError, match="`adapter`: its vectors are as the old encoder has them"):
            encoder.encode(TEXTS[:2], **wrong)  # type: ignore[arg-type]
    assert encoder.encode(TEXTS[:2], output_type="ubinary").shape == (2, 1)


def test_encode_with_an_adapter_writes_what_fits_the_old_vectors(
    old: Path, new: Path, made: Path, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npy"
    done = command("encode", new, corpus, "-o", out, "--adapter", made)
    assert done.exit_code == 0, done.stderr
    np.testing.assert_allclose(np.load(out), Encoder(new, adapter=made).encode(TEXTS), atol=1e-5)
    assert check_vectors(old, out).ok
    assert check_vectors(new, out).verdict is Verdict.DIFFERENT
    refused = command("encode", old, corpus, "-o", tmp_path / "no.npy", "--adapter", made)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "is the old encoder of this --adapter" in refused.stderr
    assert not (tmp_path / "no.npy").exists()
    resumed = encode_file(new, str(corpus), tmp_path / "out.jsonl", adapter=made)
    assert resumed.dim == 8


def test_below_the_limit_nothing_is_published(old: Path, strange: Path, corpus: Path, tmp_path: Path) -> None:
    done = command("adapt", old, strange, corpus, "-o", tmp_path / "adapter", "--json")
    report = json.loads(done.stdout)
    assert report["recall_at_10"]["after"] < 0.9
    assert (done.exit_code, report["published"]) == (1, False)
    told = command("adapt", old, strange, corpus, "-o", tmp_path / "adapter")
    assert (told.exit_code, "not published: " in told.stdout) == (1, True)
    assert list(tmp_path.iterdir()) == []
    anyhow = command("adapt", old, strange, corpus, "-o", tmp_path / "adapter", "--min-recall", 0)
    assert anyhow.exit_code == 0, anyhow.stderr


def test_the_choice_does_not_see_the_texts_that_are_reported(old: Path, new: Path) -> None:
    from mirrorkit.adapting.adapt import _Measured
    from mirrorkit.progress import Silent

    measured = _Measured(Encoder(old), Encoder(new), TEXTS, 0, Silent())
    parts = [set(measured._fit.tolist()), set(measured.choosing.tolist()), set(measured.reporting.tolist())]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(TEXTS)
    assert len(parts[1]) == len(parts[2]) == len(TEXTS) // 10


Change = Callable[[Path], object]


def _about(**fields: object) -> Change:
    def change(folder: Path) -> None:
        file = folder / "adapter.json"
        file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **fields}), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "adapter.json").unlink(), "adapter.json is not in it"),
        (lambda f: (f / "adapter.safetensors").unlink(), "adapter.safetensors is not in it"),
        (lambda f: (f / "adapter.json").write_text("{"), "not a readable JSON file"),
        (lambda f: (f / "adapter.safetensors").write_bytes(b"x" * 40), "recorded sha256"),
        (_about(kind="other"), "kind must be 'mirrorkit-adapter'"),
        (_about(schema_version=2), "upgrade mirrorkit"),
        (_about(map="forest"), "must be one of orthogonal, low-rank, mlp"),
        (_about(map="mlp"), "the weights have the shapes"),
        (_about(similarity="manhattan"), "similarity must be"),
        (_about(rank=0), "must be from 1"),
        (_about(old={"fingerprint": "x", "variant": "y", "dim": 9}), "the weights have the shapes"),
        (_about(new=3), "new must be"),
    ],
)
def test_a_damaged_adapter_is_refused(change: Change, words: str, made: Path, new: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "adapter")
    change(tmp_path / "adapter")
    with pytest.raises(ModelError, match=words):
        Encoder(new, adapter=tmp_path / "adapter")


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    one = next(fitted(drawn(50, 4, 0), drawn(50, 4, 1), 0))
    bad = one._replace(weights={**one.weights, "bias": np.full(4, np.nan, np.float32)})
    write_adapter(tmp_path, adapter_of(bad, 4, 4))
    with pytest.raises(ModelError, match="NaN or infinity"):
        read_adapter(tmp_path)


def test_bad_input_is_one_line(old: Path, new: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x", encoding="utf-8")
    cases: list[tuple[tuple[object, ...], str]] = [
        ((old, new, tmp_path / "few.txt", "-o", tmp_path / "x"), "few.txt: holds 2 distinct texts"),
        ((old, old, corpus, "-o", tmp_path / "x"), "both are the same encoder"),
        ((old, new, corpus, "-o", tmp_path / "full", "--overwrite"), "full"),
        ((old, new, corpus, "-o", tmp_path / "x", "--limit", 5), "--limit 5: must be at least 200"),
        ((old, new, corpus, "-o", tmp_path / "x", "--min-recall", 2), "--min-recall 2.0: must be from 0 to 1"),
        ((old, tmp_path / "no", corpus, "-o", tmp_path / "x"), "no such folder"),
    ]
    for args, words in cases:
        done = command("adapt", *args)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert words in done.stderr
    assert not (tmp_path / "x").exists()
    with pytest.raises(CorpusError):
        adapt(old, new, tmp_path / "missing.txt", tmp_path / "x")


def test_an_adapter_is_replaced_by_another(old: Path, new: Path, made: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "adapter")
    assert command("adapt", old, new, corpus, "-o", tmp_path / "adapter").exit_code == 2
    done = command("adapt", old, new, corpus, "-o", tmp_path / "adapter", "--overwrite", "--seed", 1)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("recall@10 of new queries among old vectors: ")
