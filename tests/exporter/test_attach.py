"""A bundle with an adapter in its graphs: the vectors of the numpy map, whoever reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the export extra")
pytest.importorskip("onnxscript", reason="needs the export extra")
from typer.testing import CliRunner, Result

from mirrorkit import Encoder, SentenceEncoder, attach, check, export
from mirrorkit.adapting.fit import Fitted, fitted
from mirrorkit.cli.app import app
from mirrorkit.errors import ModelError
from mirrorkit.formats.adapter import Adapter, AdapterRecord, Map, Recalls, Side, read_adapter, write_adapter
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.text.ragged import Floats
from tests.conftest import REAL_TEXTS
from tests.exports import traced_once

DIM, OLD = 32, 24
VARIANTS = ("fp32", "fp32-fused", "fp16", "int8", "int8-fused")


def command(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def bundle(tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attach") / "bundle"
    with traced_once(tmp_path_factory):
        assert export(tiny_random("bert"), out, precision=["fp32", "fp16", "int8"], thresholds={"cosine_min": 0.5}).ok
    return out


def unit(rows: int, dim: int, seed: int) -> Floats:
    drawn = np.random.default_rng(seed).normal(size=(rows, dim))
    found: Floats = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return found


def adapter_for(bundle: Path, folder: Path, kind: Map, variant: str = "fp32", *, similarity: str = "cosine") -> Adapter:
    """Write an adapter of that kind, from the bundle's vectors into a shorter space of no meaning."""
    x, encoder = unit(400, DIM, 0), Encoder(bundle, variant)
    y = np.tanh(2 * x @ unit(DIM, OLD, 1)).astype(np.float32)
    one: Fitted = next(one for one in fitted(x, y, 0) if one.map is kind)
    sides = Side(encoder.fingerprint, encoder.variant, DIM), Side("0" * 64, "fp32", OLD)
    recalls, normalized = Recalls(None, 0.9, 0.8, 40, 400), similarity == "cosine"
    record = AdapterRecord(str(kind), one.rank, *sides, similarity, normalized, recalls, "0" * 64, {})
    folder.mkdir(parents=True)
    write_adapter(folder, Adapter(record, one.weights))
    return read_adapter(folder)


@pytest.fixture(scope="module", params=list(Map))
def attached(request: pytest.FixtureRequest, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("attached")
    adapter = adapter_for(bundle, place / "adapter", request.param)
    variants = None if request.param is Map.MLP else ["fp32", "fp32-fused"]
    result = attach(bundle, place / "adapter", place / "adapted", variants=variants)
    assert result.ok, result.lines()
    return place / "adapted", adapter, result


def test_every_variant_gives_the_vectors_of_the_numpy_map(attached: Any, bundle: Path) -> None:
    folder, adapter, result = attached
    assert result.dim == read_bundle(folder).dim == OLD
    for name in result.variants:
        encoder = Encoder(folder, name, verify=True)
        plain = Encoder(bundle, name)
        assert encoder.dim == OLD
        np.testing.assert_allclose(encoder.encode(REAL_TEXTS), adapter(plain.encode(REAL_TEXTS)), atol=1e-5)
        for text in REAL_TEXTS[:5]:
            np.testing.assert_allclose(encoder.encode([text]), adapter(plain.encode([text])), atol=1e-5)
        assert encoder.fingerprint not in (plain.fingerprint, adapter.fingerprint)
    own = Encoder(bundle, "fp32", adapter=folder.parent / "adapter")
    np.testing.assert_allclose(Encoder(folder, "fp32").encode(REAL_TEXTS), own.encode(REAL_TEXTS), atol=1e-5)


def test_the_bundle_is_one_that_check_passes(attached: Any) -> None:
    folder, adapter, result = attached
    found = check(folder)
    assert found.ok, [problem.line() for problem in found.problems]
    assert set(found.variants) == set(result.variants)
    assert max(figures["invariance"] for name, figures in found.variants.items() if name == "fp32") < 1e-6
    assert found.consumers["fastembed"] == "needs care"  # which pools by itself, and knows of no map behind it
    manifest = json.loads((folder / "mirrorkit.json").read_text(encoding="utf-8"))
    assert (manifest["dim"], manifest["width"], manifest["pools_only"]) == (OLD, DIM, False)
    assert manifest["provenance"]["adapter"]["fingerprint"] == adapter.fingerprint
    assert len(manifest["scalar_ranges"][0]) == OLD
    assert Encoder(folder).encode(["a text"], output_type="int8").shape == (1, OLD)
    assert "## Adapter" in (folder / "README.md").read_text(encoding="utf-8")


def test_fused_graphs_still_read_the_weights_of_the_plain_ones(attached: Any) -> None:
    folder, _, result = attached
    for variant in read_bundle(folder).variants.values():
        fused = variant.name.endswith("-fused")
        assert bool(variant.data_files) == fused
        if fused:
            plain = folder / variant.data_files[0]
            assert (folder / variant.file).stat().st_size < plain.stat().st_size / 2
    assert set(result.variants) == set(VARIANTS) or set(result.variants) == {"fp32", "fp32-fused"}


def test_who_reads_the_folder_without_its_graphs_gets_the_same(attached: Any) -> None:
    library = pytest.importorskip("sentence_transformers")
    folder, _, _ = attached
    vectors = Encoder(folder, "fp32").encode(REAL_TEXTS)
    np.testing.assert_allclose(SentenceEncoder.load(folder).encode(REAL_TEXTS), vectors, atol=1e-5)
    other = library.SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(other.encode(REAL_TEXTS), vectors, atol=1e-5)


def test_a_fused_graph_brings_its_plain_one(bundle: Path, tmp_path: Path) -> None:
    adapter = adapter_for(bundle, tmp_path / "adapter", Map.ORTHOGONAL, "int8-fused")
    assert attach(bundle, tmp_path / "adapter", tmp_path / "adapted", variants=["int8-fused"]).ok
    assert list(read_bundle(tmp_path / "adapted").variants) == ["int8", "int8-fused"]
    found = Encoder(tmp_path / "adapted").encode(REAL_TEXTS)
    np.testing.assert_allclose(found, adapter(Encoder(bundle, "int8-fused").encode(REAL_TEXTS)), atol=1e-5)


def test_the_command_tells_and_bad_input_is_one_line(bundle: Path, tmp_path: Path) -> None:
    adapter_for(bundle, tmp_path / "adapter", Map.ORTHOGONAL)
    done = command("attach", bundle, tmp_path / "adapter", "-o", tmp_path / "out", "--variants", "fp32", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["variants"]["fp32"]["published"]
    again = tmp_path / "again"
    cases: list[tuple[tuple[object, ...], str]] = [
        ((bundle, tmp_path / "adapter", "-o", tmp_path / "out"), "--overwrite"),
        ((tmp_path / "out", tmp_path / "adapter", "-o", again), "takes vectors of"),
        ((bundle, bundle, "-o", again), "no adapter, as mirrorkit adapt writes it"),
        ((tmp_path, tmp_path / "adapter", "-o", again), "no mirrorkit.json in it"),
        ((bundle, tmp_path / "adapter", "-o", again, "--variants", "int4"), "variant 'int4'"),
    ]
    for args, words in cases:
        refused = command("attach", *args)
        assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1), refused.stderr
        assert words in refused.stderr
    assert not again.exists()


def test_a_damaged_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    adapter_for(bundle, tmp_path / "adapter", Map.ORTHOGONAL)
    for name in ("golden.jsonl", "onnx/model_fp16.onnx", "1_Pooling/config.json"):
        folder = Path(shutil.copytree(bundle, tmp_path / "damaged", dirs_exist_ok=True))
        raw = bytearray((folder / name).read_bytes())
        raw[len(raw) // 2] ^= 1
        (folder / name).write_bytes(raw)
        refused = command("attach", folder, tmp_path / "adapter", "-o", tmp_path / "out")
        assert (refused.exit_code, "changed or damaged" in refused.stderr) == (2, True), refused.stderr
        assert not (tmp_path / "out").exists()


def test_an_adapter_that_gives_the_bundles_own_vectors_is_refused(bundle: Path, tmp_path: Path) -> None:
    adapter_for(bundle, tmp_path / "adapter", Map.ORTHOGONAL)
    about = tmp_path / "adapter" / "adapter.json"
    told = json.loads(about.read_text("utf-8"))
    old = {**told["new"], "dim": OLD}  # as it fits the weights
    swapped = {**told, "old": old, "new": {**told["new"], "fingerprint": "2" * 64}}
    about.write_text(json.dumps(swapped), encoding="utf-8")
    with pytest.raises(ModelError, match="is the old encoder of this `adapter`"):
        attach(bundle, tmp_path / "adapter", tmp_path / "out")
