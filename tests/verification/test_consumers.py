"""What each consumer would read from a folder: right, right with settings, or wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.formats.bundle import AXES
from mirrorkit.formats.layout_writer import write_layout
from mirrorkit.formats.model_folder import ModelLayout
from mirrorkit.formats.pooling import Pooling
from mirrorkit.runtime.session import Port, Signature
from mirrorkit.verification.consumers import Contents, lint, verdicts
from mirrorkit.verification.problem import Severity, Stage

CONSUMERS = (
    *("sentence-transformers", "optimum", "transformers.js", "fastembed", "text-embeddings-inference", "Triton"),
    "libmirrorkit",
)
INPUTS = tuple(Port(name, "tensor(int64)", AXES) for name in ("input_ids", "attention_mask"))
HIDDEN = Port("last_hidden_state", "tensor(float)", (*AXES, 8))
POOLED = Port("sentence_embedding", "tensor(float)", (AXES[0], 8))
GOOD = Signature(INPUTS, (HIDDEN, POOLED))
FILES: dict[str, dict[str, Any]] = {
    "config.json": {"architectures": ["BertModel"], "model_type": "bert"},
    "tokenizer.json": {},
    "tokenizer_config.json": {"model_max_length": 64, "pad_token": "[PAD]"},
    "special_tokens_map.json": {},
}


def contents(folder: Path, pooling: Pooling = Pooling.MEAN) -> Contents:
    """Return a bundle's folder that is right for everyone."""
    for name, value in FILES.items():
        write(folder, name, value)
    (folder / "model.safetensors").write_bytes(b"")
    write_layout(folder, ModelLayout(folder).pooled_by((pooling,)), width=8, max_length=64)
    graphs = {"onnx/model.onnx": GOOD, "onnx/model_quantized.onnx": GOOD}
    return Contents(folder, pooling, 64, graphs, ours=True)


def write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def severe(c: Contents) -> dict[str, list[str]]:
    """Return the errors and warnings by consumer."""
    told: dict[str, list[str]] = {}
    for problem in lint(c):
        assert problem.stage is Stage.CONSUMERS
        assert problem.where in CONSUMERS
        if problem.severity is not Severity.NOTE:
            told.setdefault(problem.where, []).append(f"{problem.severity}: {problem.what}")
    return told


@pytest.mark.parametrize("pooling", [Pooling.CLS, Pooling.MEAN])
def test_a_whole_bundle_is_right_for_all(tmp_path: Path, pooling: Pooling) -> None:
    c = contents(tmp_path, pooling)
    assert severe(c) == {}
    assert verdicts(lint(c)) == dict.fromkeys(CONSUMERS, "right")
    told = {p.where: p.what for p in lint(c)}
    assert f"pooling: '{pooling}', normalize: true" in told["transformers.js"]
    assert f"PoolingType.{pooling.name}" in told["fastembed"]


def test_max_pooling_needs_care_where_nobody_has_it(tmp_path: Path) -> None:
    told = severe(contents(tmp_path, Pooling.MAX))
    assert set(told) == {"transformers.js", "fastembed", "text-embeddings-inference"}
    assert all(line.startswith("warning") for lines in told.values() for line in lines)
    assert "--pooling mean" in told["text-embeddings-inference"][0]


@pytest.mark.parametrize(
    ("name", "consumers"),
    [
        ("modules.json", {"sentence-transformers"}),
        ("1_Pooling/config.json", {"sentence-transformers", "text-embeddings-inference"}),
        ("config.json", {"optimum", "transformers.js", "fastembed", "text-embeddings-inference"}),
        ("tokenizer.json", {"transformers.js", "fastembed", "text-embeddings-inference"}),
        ("tokenizer_config.json", {"transformers.js", "fastembed"}),
        ("special_tokens_map.json", {"fastembed"}),
        ("sentence_bert_config.json", {"sentence-transformers"}),
        ("model.safetensors", {"sentence-transformers"}),
    ],
)
def test_a_missing_file_is_told_to_those_who_read_it(tmp_path: Path, name: str, consumers: set[str]) -> None:
    c = contents(tmp_path)
    (tmp_path / name).unlink()
    assert set(severe(c)) == consumers


@pytest.mark.parametrize(
    ("name", "value", "consumer", "words"),
    [
        (
            "tokenizer_config.json",
            {"model_max_length": 1e30, "pad_token": "x"},
            "fastembed",
            "integer model_max_length",
        ),
        ("tokenizer_config.json", {"model_max_length": 32, "pad_token": "x"}, "fastembed", "cuts text at 32 tokens"),
        ("tokenizer_config.json", {"model_max_length": 64}, "fastembed", "no pad_token"),
        ("config.json", {}, "text-embeddings-inference", "no architectures"),
        (
            "config.json",
            {"architectures": ["BertForSequenceClassification"]},
            "text-embeddings-inference",
            "as a classifier",
        ),
        (
            "1_Pooling/config.json",
            {"word_embedding_dimension": 8, "pooling_mode": "mean"},
            "text-embeddings-inference",
            "new schema",
        ),
        ("sentence_bert_config.json", {"max_seq_length": 32}, "sentence-transformers", "cuts text at 32 tokens"),
        ("modules.json", [], "sentence-transformers", "no Pooling"),
    ],
)
def test_a_wrong_setting_is_told(tmp_path: Path, name: str, value: object, consumer: str, words: str) -> None:
    c = contents(tmp_path)
    write(tmp_path, name, value)
    told = severe(c)
    assert set(told) == {consumer}
    assert [line.startswith("error") and words in line for line in told[consumer]] == [True]
    assert verdicts(lint(c))[consumer] == "wrong"


def test_another_pooling_than_the_models_is_wrong(tmp_path: Path) -> None:
    c = replace(contents(tmp_path, Pooling.MEAN), pooling=Pooling.CLS)
    assert set(severe(c)) == {"sentence-transformers"}
    bare = {"onnx/model.onnx": Signature(INPUTS, (HIDDEN,)), "onnx/model_quantized.onnx": GOOD}
    told = severe(replace(c, graphs=bare))
    assert "would pool by mean, the model's is cls" in told["text-embeddings-inference"][0]


def edit_modules(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    change(modules)
    write(folder, "modules.json", modules)


@pytest.mark.parametrize(("ours", "severity"), [(True, "error"), (False, "warning")])
def test_no_normalize_is_vectors_of_any_length(tmp_path: Path, ours: bool, severity: str) -> None:
    c = replace(contents(tmp_path), ours=ours)
    edit_modules(tmp_path, lambda modules: modules.pop())
    (line,) = severe(c)["sentence-transformers"]
    assert line.startswith(f"{severity}: modules.json has no Normalize")


def test_new_module_paths_are_not_for_everyone(tmp_path: Path) -> None:
    c = contents(tmp_path)
    new = "sentence_transformers.sentence_transformer.modules.Pooling"
    edit_modules(tmp_path, lambda modules: modules[1].update(type=new))
    (line,) = severe(c)["sentence-transformers"]
    assert "before 6" in line


@pytest.mark.parametrize(
    ("outputs", "wrong", "careful"),
    [
        ((HIDDEN,), set(), {"Triton"}),
        ((POOLED,), {"sentence-transformers", "optimum", "transformers.js"}, {"fastembed"}),
        ((POOLED, HIDDEN), set(), {"fastembed"}),
        (
            (Port("logits", "tensor(float)", (AXES[0], 2)),),
            {"sentence-transformers", "optimum", "text-embeddings-inference"},
            {"fastembed", "Triton"},
        ),
    ],
)
def test_what_a_graph_gives_decides_who_can_use_it(
    tmp_path: Path, outputs: tuple[Port, ...], wrong: set[str], careful: set[str]
) -> None:
    graph = Signature(INPUTS, outputs)
    c = replace(contents(tmp_path), graphs={"onnx/model.onnx": graph, "onnx/model_quantized.onnx": graph})
    found = verdicts(lint(c))
    assert {name for name, verdict in found.items() if verdict == "wrong"} == wrong
    assert {name for name, verdict in found.items() if verdict == "needs care"} == careful


def test_a_fixed_batch_is_no_batch(tmp_path: Path) -> None:
    fixed = Signature(tuple(replace(port, shape=(1, "sequence_length")) for port in INPUTS), (HIDDEN, POOLED))
    told = severe(replace(contents(tmp_path), graphs={"onnx/model.onnx": fixed}))
    assert list(told) == ["Triton"]
    assert "batch axis is fixed" in told["Triton"][0]


def test_a_folder_without_graphs_serves_torch_alone(tmp_path: Path) -> None:
    c = replace(contents(tmp_path), graphs={}, ours=False)
    found = verdicts(lint(c))
    assert found["sentence-transformers"] == "right"
    assert found["fastembed"] == found["Triton"] == found["transformers.js"] == "wrong"
    assert found["text-embeddings-inference"] == found["optimum"] == "needs care"


def test_a_graph_at_the_top_goes_first_in_text_embeddings_inference(tmp_path: Path) -> None:
    c = contents(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"")
    assert "at the top" in severe(c)["text-embeddings-inference"][0]


def test_a_plain_hub_folder_is_read_by_guessing(tmp_path: Path) -> None:
    for name, value in FILES.items():
        write(tmp_path, name, value)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    told = severe(Contents(tmp_path, None, None, {}, ours=False))
    assert any("would use mean pooling" in line for line in told["sentence-transformers"])
    assert any("only pickled ones" in line for line in told["sentence-transformers"])
    known = severe(Contents(tmp_path, Pooling.CLS, None, {}, ours=False))
    assert any(line.startswith("error: no modules.json") for line in known["sentence-transformers"])


def test_a_table_of_token_vectors_is_a_note_to_who_does_not_serve_one(tmp_path: Path) -> None:
    c = contents(tmp_path)
    (tmp_path / "1_Pooling" / "config.json").unlink()
    write_layout(tmp_path, replace(ModelLayout(tmp_path), static=True), width=8, max_length=64)
    told = severe(c)
    assert set(told) == {"text-embeddings-inference"}
    assert told["text-embeddings-inference"][0].startswith("warning: serves no table of token vectors")
