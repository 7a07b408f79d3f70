"""Bf16 by libmirrorkit_ops where that cannot be is refused in one line; none of it needs the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit import Encoder, Tensorrt, check
from mirrorkit.cli.app import app
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.runtime import ops
from mirrorkit.runtime.ops import fused_variant
from tests.bundles import make_foreign
from tests.engines import lookup_bundle


@pytest.fixture
def bundle(tiny: Path, tmp_path: Path) -> Path:
    return lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json", ["fp32", "fp32-fused", "fp16"])


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], None]:
    """Return what names a library whose arithmetic for bf16 is of that name; it finds no layers."""

    def name(kernels: bytes | None) -> None:
        library = SimpleNamespace(
            mirrorkit_ops_kernels=lambda precision: kernels if precision == b"bf16" else b"plain",
            mirrorkit_ops_rewrite=lambda *_: 0,
        )
        monkeypatch.setenv("MIRRORKIT_OPS", "libmirrorkit_ops.so")
        monkeypatch.delenv("MIRRORKIT_OPS_KERNELS", raising=False)
        monkeypatch.setattr(ops, "_load", lambda _: library)

    return name


def refused(folder: Path, words: str, **options: Any) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Encoder(folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"variant": "ops-bf16"}])
def test_without_a_library_it_says_what_to_do(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    for value in (None, ""):
        monkeypatch.delenv("MIRRORKIT_OPS", raising=False)
        if value is not None:
            monkeypatch.setenv("MIRRORKIT_OPS", value)
        refused(bundle, "precision bf16: .* variable MIRRORKIT_OPS names none; build it .*engine=", **options)


def test_a_library_that_is_none_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIRRORKIT_OPS", str(tmp_path / "missing.so"))
    refused(bundle, r"MIRRORKIT_OPS .*missing\.so: is not a libmirrorkit_ops", precision="bf16")


def test_a_processor_without_it_is_refused(
    bundle: Path, named: Callable[[bytes | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    named(None)
    refused(bundle, "precision bf16: this processor has neither AMX nor AVX-512 for it; leave", precision="bf16")
    monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", "plain")
    refused(bundle, "MIRRORKIT_OPS_KERNELS names instructions .* lacks for bf16", precision="bf16")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp16"}, "precision 'fp16': for ONNX Runtime must be bf16 or left out"),
        ({"precision": "int8"}, "precision 'int8': for ONNX Runtime must be bf16 or left out"),
        ({"precision": "int8", "variant": "ops-bf16"}, "precision 'int8': for ONNX Runtime must be bf16"),
        ({"precision": "bf16", "variant": "int8"}, "variant int8: cannot be combined with precision bf16; leave"),
        ({"precision": "bf16", "variant": "fp16"}, "variant fp16: cannot be combined with precision bf16; leave"),
        ({"precision": "bf16", "variant": "onnx/model.onnx"}, "variant onnx/model.onnx: cannot be combined with"),
        ({"precision": "bf16", "device": "cuda"}, "precision bf16: ONNX Runtime has it only on the CPU"),
        ({"variant": "ops-bf16", "device": "cuda"}, "precision bf16: ONNX Runtime has it only on the CPU"),
        ({"precision": "bf16", "tensorrt": Tensorrt()}, "precision bf16: ONNX Runtime has it only on the CPU"),
        ({"precision": "bf16", "cuda_graphs": True}, "cuda_graphs=True"),
        ({"precision": "bf16"}, r"precision bf16: .*model_fused\.onnx has no encoder layer as fp32-fused"),
        ({"precision": "bf16", "variant": "fp32"}, r"precision bf16: .*model_fused\.onnx has no encoder layer"),
    ],
)
def test_what_cannot_be_is_one_line(
    bundle: Path, named: Callable[[bytes | None], None], options: dict[str, Any], words: str
) -> None:
    named(b"avx512-bf16")
    refused(bundle, words, **options)


def test_folders_without_the_fused_graph_are_refused(
    named: Callable[[bytes | None], None], tiny: Path, tmp_path: Path
) -> None:
    named(b"avx512-amx")
    plain = lookup_bundle(tmp_path / "plain", tiny / "tokenizer.json", ["fp32"])
    refused(plain, r"precision bf16: .*model\.onnx has no encoder layer", precision="bf16")
    refused(plain, "variant 'fp32-fused': .* holds fp32", precision="bf16", variant="fp32-fused")
    theirs = make_foreign(tmp_path / "theirs", tiny / "tokenizer.json")
    with pytest.raises((BundleError, ConfigError)):
        Encoder(theirs, precision="bf16")


@pytest.mark.parametrize(
    ("variant", "precision", "found"),
    [
        ("auto", None, None),
        ("int8", None, None),
        ("auto", "bf16", "fp32"),
        ("fp32", "bf16", "fp32"),
        ("fp32-fused", "bf16", "fp32-fused"),
        ("onnx/model_fused.onnx", "bf16", "onnx/model_fused.onnx"),
        ("ops-bf16", None, "fp32"),
        ("ops-bf16", "bf16", "fp32"),
    ],
)
def test_variant_and_precision_together(
    named: Callable[[bytes | None], None], variant: str, precision: str | None, found: str | None
) -> None:
    named(b"avx512-amx")
    assert fused_variant(variant, precision, cpu=True) == found


def test_the_command_ends_with_two_and_writes_nothing(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MIRRORKIT_OPS", raising=False)
    (tmp_path / "texts.txt").write_text("A cat.\n", encoding="utf-8")
    out = tmp_path / "vectors.npy"
    words = ["encode", bundle, tmp_path / "texts.txt", "-o", out, "--precision", "bf16"]
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 2
    assert "MIRRORKIT_OPS names none" in result.output
    assert not out.exists()


def test_check_proves_what_may_be_asked_for_alone(bundle: Path, named: Callable[[bytes | None], None]) -> None:
    plain = set(check(bundle).variants)
    for kernels in (b"avx512-amx", None):  # none of its layers is in this graph; no such arithmetic
        named(kernels)
        assert set(check(bundle).variants) == plain
