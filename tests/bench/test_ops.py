"""Bf16 by libmirrorkit_ops among the subjects of a benchmark: measured where it can be, told of where it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="makes its graphs with the export extra")
from typer.testing import CliRunner

from mirrorkit.bench.measure.candidates import Candidate, candidates
from mirrorkit.bench.result import OPS
from mirrorkit.bench.run import run_bench
from mirrorkit.cli.app import app
from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import VARIANT_FILES, Graph, read_bundle, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.runtime import ops
from mirrorkit.runtime.ort import open_for_batches
from tests.lookups import SHAPES, work_here

Name = Callable[[bytes | None, int], None]


@pytest.fixture
def fused(own: Path) -> Path:
    """Return a bundle that holds its fp32 graph as the fused one too."""
    shutil.copyfile(own / VARIANT_FILES["fp32"], own / VARIANT_FILES["fp32-fused"])
    bundle = read_bundle(own)
    added = replace(
        bundle.variants["fp32"], name="fp32-fused", file=VARIANT_FILES["fp32-fused"], graph=Graph.ONNXRUNTIME
    )
    write_manifest(replace(bundle, variants={**bundle.variants, added.name: added}, files=record_files(own)))
    return own


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Name:
    """Return what names a library with that arithmetic for bf16, which finds so many layers in any graph."""

    def name(kernels: bytes | None, layers: int) -> None:
        library = SimpleNamespace(
            mirrorkit_ops_kernels=lambda precision: kernels if precision == b"bf16" else b"plain",
            mirrorkit_ops_rewrite=lambda *_: layers,
            mirrorkit_ops_free=lambda _: None,
        )
        monkeypatch.setenv("MIRRORKIT_OPS", "libmirrorkit_ops.so")
        monkeypatch.delenv("MIRRORKIT_OPS_KERNELS", raising=False)
        monkeypatch.setattr(ops, "_load", lambda _: library)

    return name


def subjects(bundle: Path, names: list[str] | None = None, *, bf16: bool = False) -> dict[str, Candidate]:
    opened = read_bundle(bundle)
    return {one.name: one for one in candidates(opened, opened.named(names), None, verify=True, bf16=bf16)}


def test_the_fused_graph_comes_once_more(fused: Path, named: Name) -> None:
    named(b"avx512-amx", 2)
    found = subjects(fused)
    assert set(found) - {"baseline", *VARIANT_FILES} == set(OPS)
    assert list(found) == ["baseline", "fp32", "int8", "fp32-fused", "ops-bf16"]
    one = found["ops-bf16"]
    assert (one.precision, one.asked, one.engine) == ("bf16", "bf16", "onnxruntime")
    assert one.file == VARIANT_FILES["fp32-fused"]
    assert found["fp32-fused"].asked is None
    assert "ops-bf16" not in subjects(fused, ["fp32", "int8"])
    assert "ops-bf16" in subjects(fused, ["int8"], bf16=True)


def test_it_is_measured_like_the_others(fused: Path, named: Name, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the library, which this processor may have no use for: the graph is run as it is."""
    named(b"avx512-amx", 2)
    asked = list[bool]()

    def as_it_is(*place: Any, bf16: bool = False, **_: Any) -> Any:
        asked.append(bf16)
        return open_for_batches(*place)

    monkeypatch.setattr("mirrorkit.runtime.session.open_for_batches", as_it_is)
    monkeypatch.setattr("mirrorkit.bench.run.run_worker", work_here)
    result = run_bench(fused, variants=["ops-bf16"], **SHAPES)
    assert [one.name for one in result.subjects] == ["baseline", "ops-bf16"]
    subject = result.subject("ops-bf16")
    assert subject is not None
    assert subject.quality is not None
    assert subject.precision == "bf16"
    assert subject.quality.golden_cosine_min == pytest.approx(1, abs=1e-6)
    assert asked.count(True) > SHAPES["budget"].min_rounds  # to measure quality, and in the rounds of speed and start


@pytest.mark.parametrize(
    ("kernels", "layers", "why"),
    [
        (None, 2, "this processor has neither AMX nor AVX-512 for it"),
        (b"avx512-amx", 0, "has no encoder layer as fp32-fused graphs have them"),
    ],
)
def test_where_it_cannot_be_one_line_says_why(
    fused: Path, named: Name, caplog: pytest.LogCaptureFixture, kernels: bytes | None, layers: int, why: str
) -> None:
    named(kernels, layers)
    with caplog.at_level("WARNING"):
        assert list(subjects(fused)) == ["baseline", "fp32", "int8", "fp32-fused"]
    (line,) = [one.getMessage() for one in caplog.records if "ops-bf16" in one.getMessage()]
    assert line.startswith("ops-bf16 is left out: ")
    assert line.endswith(why)
    assert "\n" not in line
    with pytest.raises(ConfigError, match=f"variants ops-bf16: .*{why}"):
        subjects(fused, bf16=True)


def test_without_a_library_it_is_told_where_it_is_asked_for(
    fused: Path, made: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MIRRORKIT_OPS", raising=False)
    monkeypatch.setattr("mirrorkit.bench.run.run_worker", lambda *_: pytest.fail("measured all the same"))
    with caplog.at_level("INFO"):
        subjects(fused)
    assert [one.levelname for one in caplog.records if "MIRRORKIT_OPS names none" in one.getMessage()] == ["INFO"]
    done = CliRunner().invoke(app, ["bench", str(fused), "--variants", "fp32,ops-bf16", "--json"])
    assert done.exit_code == 2
    assert done.stderr.startswith("mirrorkit: --variants ops-bf16: ")
    assert "MIRRORKIT_OPS names none" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    with pytest.raises(ConfigError, match=r"variant 'fp32-fused': .* holds fp32, int8"):
        run_bench(made, variants=["ops-bf16"])


def test_a_library_that_is_none_is_an_error(fused: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIRRORKIT_OPS", str(tmp_path / "missing.so"))
    with pytest.raises(ConfigError, match=r"missing\.so: is not a libmirrorkit_ops"):
        subjects(fused)


def test_the_gate_has_rules_for_it(tmp_path: Path) -> None:
    from mirrorkit.bench.judge.gate import load_gate
    from tests.bench.results import subject

    own = tmp_path / "gate.toml"
    own.write_text("[variant.ops-bf16]\nlatency_ratio = 0.5\n", encoding="utf-8")
    one = replace(subject("fp32-fused"), name="ops-bf16", precision="bf16")
    assert load_gate(own).limits(one) == {"latency_ratio": 0.5}
    assert load_gate("default").limits(one)["cosine_min"] > 0.999
