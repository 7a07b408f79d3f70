"""Hold the other output types to sentence-transformers' quantize_embeddings, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxscript")

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.files.encode_file import encode_file
from mirrorkit.runtime.output import BITS, DTYPES, SCALARS, converted, ranges_of
from mirrorkit.runtime.pairwise import pairwise
from tests.bundles import RANGED, make_bundle
from tests.formats.layouts import LAYOUTS
from tests.formats.making import TEXTS, Base

QUANTIZED = [*SCALARS, *BITS]


def quantize(vectors: Any, precision: str, ranges: Any = None) -> Any:
    found = pytest.importorskip("sentence_transformers.quantization")
    return found.quantize_embeddings(vectors, precision, ranges=ranges)


@pytest.fixture(scope="module")
def folder(tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of a model that keeps its lengths, has prompts with a default, and cuts off dimensions."""
    home = tmp_path_factory.mktemp("output")
    pytest.importorskip("sentence_transformers")
    LAYOUTS["everything"].make(home / "model", Base(tiny_random("bert")))
    return make_bundle(home / "bundle", home / "model")


@pytest.mark.parametrize("output_type", QUANTIZED)
def test_numbers_are_those_of_sentence_transformers(output_type: str) -> None:
    random = np.random.default_rng(3)
    for dim in (1, 7, 8, 20, 384):
        vectors = random.normal(size=(50, dim)).astype(np.float32)
        vectors[0], vectors[1, 0] = 0, -0.0
        constant = random.normal(size=(40, dim)).astype(np.float32)
        constant[:, 0] = 0.25  # a component that never changes
        for seen in (vectors[:30], constant):  # some values lie beyond the ranges
            ranges = np.array(ranges_of(seen), dtype=np.float32)
            np.testing.assert_array_equal(ranges, [seen.min(axis=0), seen.max(axis=0)])
            ours, theirs = converted(vectors, output_type, ranges), quantize(vectors, output_type, ranges)
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("output_type", DTYPES)
def test_an_encoder_gives_every_type(folder: Path, output_type: str) -> None:
    encoder = Encoder(folder)
    ranges = np.array(read_bundle(folder).scalar_ranges, dtype=np.float32)

    def same(encode: Callable[..., Any], texts: Any, **asked: Any) -> None:
        vectors, found = encode(texts, **asked), encode(texts, **asked, output_type=output_type)
        half = output_type == "float16"
        expected = vectors.astype(np.float16) if half else quantize(vectors, output_type, ranges)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype == DTYPES[output_type]

    same(encoder.encode, TEXTS)
    same(encoder.encode, TEXTS[3:4])
    same(encoder.encode, TEXTS, prompt="x: ")
    same(encoder.encode_query, TEXTS)
    same(encoder.encode_document, TEXTS)
    same(lambda texts, **asked: np.concatenate(list(encoder.encode_iter(texts, chunk=5, **asked))), TEXTS)


@pytest.mark.parametrize("output_type", QUANTIZED)
def test_fewer_dimensions_go_with_every_type(folder: Path, output_type: str) -> None:
    encoder = Encoder(folder)
    ranges = np.array(read_bundle(folder).scalar_ranges, dtype=np.float32)
    expected = quantize(encoder.encode(TEXTS)[:, :11], output_type, ranges[:, :11])
    np.testing.assert_array_equal(encoder.encode(TEXTS, truncate_dim=11, output_type=output_type), expected)


def test_ranges_of_an_export_are_of_its_calibration_texts(folder: Path) -> None:
    ranges = np.array(read_bundle(folder).scalar_ranges, dtype=np.float32)
    vectors = Encoder(folder).encode(RANGED)
    np.testing.assert_allclose(ranges, [vectors.min(axis=0), vectors.max(axis=0)], atol=1e-5)


@pytest.mark.parametrize("output_type", DTYPES)
@pytest.mark.parametrize("suffix", [".npy", ".jsonl", ".parquet"])
def test_a_file_of_every_type(folder: Path, tmp_path: Path, output_type: str, suffix: str) -> None:
    texts = [text for text in TEXTS if text.strip() and "\n" not in text]
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"out{suffix}"
    encode_file(folder, str(tmp_path / "in.txt"), out, output_type=output_type)
    expected = Encoder(folder).encode(texts, output_type=output_type)
    if suffix == ".npy":
        found = np.load(out)
        assert found.dtype == expected.dtype
    elif suffix == ".jsonl":
        found = np.array([json.loads(line)["embedding"] for line in out.read_text(encoding="utf-8").splitlines()])
    else:
        import pyarrow.parquet

        column = pyarrow.parquet.read_table(out)["embedding"]
        assert column.type.value_type.to_pandas_dtype() == expected.dtype
        found = np.array(column.to_pylist())
    np.testing.assert_array_equal(found.astype(expected.dtype), expected)


def test_tokens_are_counted_as_the_model_sees_them(folder: Path) -> None:
    encoder = Encoder(folder)
    counts = encoder.count_tokens(TEXTS, prompt="")
    assert counts.max() == encoder.max_length  # the long text is cut
    assert counts[0] == 2  # the empty one has its special tokens
    before = encoder.usage.prompt()
    assert before
    assert encoder.count_tokens([TEXTS[3]]) == encoder.count_tokens([before + TEXTS[3]], prompt="")
    assert encoder.count_tokens([TEXTS[3]], prompt_name="document") > encoder.count_tokens([TEXTS[3]], prompt="")
    with pytest.raises(TypeError, match="count_tokens takes a sequence"):
        encoder.count_tokens("one")
    with pytest.raises(ConfigError, match="prompt_name 'passage'"):
        encoder.count_tokens(["one"], prompt_name="passage")


def test_what_cannot_be_is_refused(folder: Path, tmp_path: Path) -> None:
    encoder = Encoder(folder)
    with pytest.raises(ConfigError, match=r"output_type 'int4': must be one of float32, float16, int8"):
        encoder.encode(["a"], output_type="int4")
    with pytest.raises(ConfigError, match=r"output_type 'int8': its ranges hold only for vectors"):
        encoder.encode(["a"], output_type="int8", normalize=True)
    with pytest.raises(ConfigError, match="output_type 'int4'"):
        encode_file(folder, str(tmp_path / "in.txt"), tmp_path / "out.npy", output_type="int4")
    assert encoder.encode(["a"], output_type="binary", normalize=True).shape == (1, 2)


def changed(folder: Path, out: Path, **values: Any) -> Path:
    import shutil

    shutil.copytree(folder, out)
    manifest = json.loads((out / "mirrorkit.json").read_text(encoding="utf-8"))
    (out / "mirrorkit.json").write_text(json.dumps({**manifest, **values}), encoding="utf-8")
    return out


def test_a_bundle_without_ranges_opens_as_before(folder: Path, tmp_path: Path) -> None:
    encoder = Encoder(changed(folder, tmp_path / "older", scalar_ranges=None))
    np.testing.assert_array_equal(encoder.encode(TEXTS), Encoder(folder).encode(TEXTS))
    assert encoder.encode(["a"], output_type="ubinary").shape == (1, 2)
    with pytest.raises(ConfigError, match=r"output_type 'uint8': .* has no ranges"):
        encoder.encode(["a"], output_type="uint8")


@pytest.mark.parametrize(
    ("ranges", "complaint"),
    [
        ([[0.0] * 16], "two lists of 16 numbers"),
        ([[0.0] * 16, [1.0] * 15], "two lists of 16 numbers"),
        ([[0.0] * 16, [1.0] * 15 + ["1"]], "two lists of 16 numbers"),
        ([[0.0] * 16, [1.0] * 15 + [float("nan")]], "NaN is not JSON"),
        ([[1.0] * 16, [0.0] * 16], "the lowest values and then the highest"),
    ],
)
def test_ranges_that_cannot_be_are_refused(folder: Path, tmp_path: Path, ranges: Any, complaint: str) -> None:
    with pytest.raises(BundleError, match=complaint):
        Encoder(changed(folder, tmp_path / "bad", scalar_ranges=ranges))


def test_the_manifest_has_a_line_for_each_list_of_numbers(folder: Path) -> None:
    text = (folder / "mirrorkit.json").read_text(encoding="utf-8")
    assert sum(line.count(",") > 14 for line in text.splitlines()) == 2


def test_similarity_of_bytes_does_not_run_over() -> None:
    a = np.full((1, 64), 100, dtype=np.int8)
    assert pairwise(a, a, "dot") == 64 * 100 * 100
