"""The light runtime gives the vectors of the torch model, whatever holds the texts and in whatever order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnxscript", reason="needs the export extra, to make what is run")

from mirrorkit import SentenceEncoder
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.encoding import batches_of
from mirrorkit.runtime.session import OnnxSession
from tests.bundles import bundle_of, make_foreign, table
from tests.progress import Told

ALIKE = 2e-6  # fp32 on two backends that add in different orders; 3e-7 was seen


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tiny, ("fp32", "fp32-fused", "int8"), tmp_path_factory)


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder(bundle, "fp32", threads=1)


@pytest.fixture(scope="module")
def expected(tiny: Path, real_texts: list[str]) -> Any:
    return SentenceEncoder.load(tiny).encode(real_texts)


@pytest.fixture
def foreign(tiny: Path, tmp_path: Path) -> Callable[..., Path]:
    return lambda **options: make_foreign(tmp_path / "foreign", tiny / "tokenizer.json", **options)


def test_vectors_are_those_of_the_torch_model(encoder: Encoder, real_texts: list[str], expected: Any) -> None:
    vectors = encoder.encode(real_texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(real_texts), encoder.dim)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=ALIKE)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("batch_tokens", [1, 5, 100, 100_000])
def test_order_and_numbers_do_not_depend_on_the_batches(
    encoder: Encoder, real_texts: list[str], expected: Any, batch_tokens: int
) -> None:
    told = Told()
    vectors = encoder.encode(real_texts, batch_tokens=batch_tokens, progress=told)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=ALIKE)
    seen = [done for done, _ in told.seen]
    assert (seen[-1], {total for _, total in told.seen}) == (len(real_texts), {len(real_texts)})
    assert seen == sorted(set(seen))
    assert (len(seen) == len(real_texts)) == (batch_tokens <= 5)  # no two of them have that few tokens together


def test_padding_is_little_and_no_batch_too_large() -> None:
    lengths = np.random.default_rng(0).integers(0, 60, 3000)
    batches = list(batches_of(lengths, 512))
    assert sorted(np.concatenate(batches)) == list(range(3000))
    sizes = [len(rows) * int(lengths[rows].max()) for rows in batches]
    assert max(sizes) <= 512
    assert sum(sizes) < 1.05 * lengths.sum()
    # A text that exceeds the budget goes alone.
    assert [len(rows) for rows in batches_of(np.array([9, 9]), 4)] == [1, 1]


def test_threads_give_the_numbers_of_one(bundle: Path, encoder: Encoder, real_texts: list[str]) -> None:
    texts = real_texts * 20
    told = Told()
    vectors = Encoder(bundle, "onnx/model.onnx", threads=3).encode(texts, progress=told)
    assert len(told.seen) > 3
    assert told.seen[-1] == (len(texts), len(texts))
    np.testing.assert_allclose(vectors, encoder.encode(texts), rtol=0, atol=ALIKE)


def test_batches_side_by_side_have_one_thread_each(bundle: Path, encoder: Encoder, real_texts: list[str]) -> None:
    pair = Encoder(bundle, "fp32", threads=2)
    runner = pair._encoding.runner
    assert isinstance(runner, OnnxSession)
    pair.encode(real_texts[:1])
    assert runner._for_callers is None  # a single text needs no second copy of the weights
    vectors = pair.encode(real_texts)
    assert runner._for_callers is not None
    assert (runner.threads, runner._for_callers.threads) == (2, 1)
    assert runner.for_callers() is runner._for_callers
    np.testing.assert_allclose(vectors, encoder.encode(real_texts), rtol=0, atol=1e-6)


def test_lists_tuples_generators_arrays_and_columns(encoder: Encoder, real_texts: list[str], expected: Any) -> None:
    class Column:  # as the columns of data frames: iterable, and no sequence
        def __iter__(self) -> Any:
            return iter(real_texts)

    several: list[Any] = [
        tuple(real_texts),
        (text for text in real_texts),
        np.array(real_texts, dtype=object),
        Column(),
    ]
    for texts in several:
        np.testing.assert_allclose(encoder.encode(texts), expected, rtol=0, atol=ALIKE)
    plain = ["a text", "another"]
    np.testing.assert_array_equal(encoder.encode(np.array(plain)), encoder.encode(plain))  # type: ignore[arg-type]


def test_no_text_and_empty_text(encoder: Encoder) -> None:
    several: list[Any] = [[], (), iter([]), np.array([], dtype=str)]
    for nothing in several:
        vectors = encoder.encode(nothing)
        assert vectors.shape == (0, encoder.dim)
        assert vectors.dtype == np.float32
    (empty,) = encoder.encode([""])
    assert np.linalg.norm(empty) == pytest.approx(1, abs=1e-6)


def test_lone_surrogates_count_as_the_replacement_character(encoder: Encoder) -> None:
    vectors = encoder.encode(["half \ud83d a pair", "half \ufffd a pair", "plain"])
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=0, atol=ALIKE)
    np.testing.assert_allclose(vectors[2:], encoder.encode(["plain"]), rtol=0, atol=ALIKE)


def test_long_text_is_cut_at_the_stated_length(encoder: Encoder) -> None:
    long = "word " * (encoder.max_length - 2)  # a token each, and two special ones
    whole, cut = encoder.encode([long, long + "and more of it"])
    np.testing.assert_allclose(whole, cut, rtol=0, atol=ALIKE)


def test_choice_of_variant(bundle: Path) -> None:
    chosen = {wanted: Encoder(bundle, wanted).variant for wanted in ("auto", "fp32", "fp32-fused", "onnx/model.onnx")}
    assert chosen == {"auto": "int8", "fp32": "fp32-fused", "fp32-fused": "fp32-fused", "onnx/model.onnx": "fp32"}


def test_int8_is_another_graph(bundle: Path, encoder: Encoder, real_texts: list[str]) -> None:
    cosines = (Encoder(bundle, "int8").encode(real_texts) * encoder.encode(real_texts)).sum(axis=1)
    assert 0.5 < cosines.min() < 0.99999


def test_bar_is_drawn_only_when_asked_for(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    encoder.encode(["a", "b"])
    assert capsys.readouterr().err == ""
    encoder.encode(["a", "b"], show_progress=True)
    captured = capsys.readouterr()
    assert "encoding" in captured.err
    assert captured.out == ""


def test_nothing_heavy_is_loaded(bundle: Path) -> None:
    code = f"""
import json, sys
from mirrorkit.runtime.encoder import Encoder
Encoder({str(bundle)!r}).encode(["x"])
print(json.dumps(sorted(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert {"onnxruntime", "tokenizers", "numpy"} <= loaded
    assert loaded.isdisjoint(["torch", "transformers", "onnx", "scipy", "huggingface_hub", "rich", "typer", "pyarrow"])
    assert loaded.isdisjoint(["pydantic", "statistics", "importlib.metadata"])
    ours = ["publish", "formats.model_folder", "runtime.fixed", "runtime.foreign", "runtime.tensorrt.options"]
    assert loaded.isdisjoint(f"mirrorkit.{name}" for name in ours)


@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_foreign_folder_with_a_pooled_output(foreign: Callable[..., Path], kind: str, tiny: Path) -> None:
    encoder = Encoder(foreign(kind=kind), threads=1)
    assert (encoder.variant, encoder.dim, encoder.max_length) == ("fp32", 8, 64)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    texts = ["The museum opens at nine.", "", "a"]
    rows = table(tokenizer.get_vocab_size())
    sums = np.stack([rows[tokenizer.encode(text).ids].sum(axis=0) for text in texts])
    np.testing.assert_allclose(encoder.encode(texts, normalize=False), sums, rtol=0, atol=1e-5)
    unit = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(texts), unit, rtol=0, atol=1e-6)


def test_foreign_folder_in_other_shapes(foreign: Callable[..., Path]) -> None:
    folder = foreign(outputs=["pooled"], inputs=["input_ids", "attention_mask"], file="model.onnx", dim="d")
    assert Encoder(folder).encode(["a", "b"]).shape == (2, 8)  # one output of rank 2, and the graph does not tell dim
    foreign(file="onnx/model_quantized.onnx")
    foreign(file="onnx/model_O3.onnx")
    assert Encoder(folder).variant == "fp32"  # nobody has verified the others
    assert Encoder(folder, "int8").variant == "int8"
    assert Encoder(folder, "model_O3").variant == "model_O3"


@pytest.mark.parametrize(
    ("files", "config", "limit"),
    [
        ({}, {"max_position_embeddings": 40}, 40),
        ({}, {"max_position_embeddings": 42, "model_type": "roberta", "pad_token_id": 7}, 41),  # [PAD] is token 0
        ({"sentence_bert_config.json": {"max_seq_length": 20}}, {}, 20),
        ({"tokenizer_config.json": {"model_max_length": 30}}, {}, 30),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, {"max_position_embeddings": None}, 512),
    ],
)
def test_maximum_length_of_a_foreign_folder(
    foreign: Callable[..., Path], files: dict[str, Any], config: dict[str, Any], limit: int
) -> None:
    folder = foreign(**config)
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    encoder = Encoder(folder)
    assert encoder.max_length == limit
    longest = encoder.encode(["word " * limit, "word " * 600], normalize=False)
    np.testing.assert_array_equal(longest[0], longest[1])


def test_foreign_folder_that_lower_cases(foreign: Callable[..., Path]) -> None:
    folder = foreign()
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    before = Encoder(folder).encode(["MUSEUM", "museum"])
    assert np.abs(before[0] - before[1]).max() > 0.1
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    after = Encoder(folder).encode(["MUSEUM", "museum"])
    np.testing.assert_array_equal(after[0], after[1])
