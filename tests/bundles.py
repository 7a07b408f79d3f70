"""Make bundles and foreign folders to test runtimes with, quickly and unverified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.formats.bundle import VARIANT_FILES, Bundle, Graph, Precision, Variant, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.runtime.output import ranges_of

RANGED = ("The museum opens at nine.", "Shares fell sharply.", "A cat sleeps on the mat.", "Who wrote this book?")
_MADE: dict[tuple[str, ...], Path] = {}


def make_bundle(folder: Path, model_folder: Path, variants: Sequence[str] = ("fp32",)) -> Path:
    """Export a model folder's encoder to `folder`: fp32 as the exporter would, the others merely well-formed."""
    from mirrorkit import SentenceEncoder
    from mirrorkit.exporter.graph.trace import export_onnx

    encoder = SentenceEncoder.load(model_folder)
    encoder.save(folder)
    (folder / "model.safetensors").unlink()
    (folder / "onnx").mkdir()
    plain = folder / VARIANT_FILES["fp32"]
    export_onnx(encoder, plain)
    for name in variants:
        _derive(name, plain, folder / VARIANT_FILES[name])
    if "fp32" not in variants:
        plain.unlink()
    write_manifest(describe(folder, encoder, variants))
    return folder


def bundle_of(model_folder: Path, variants: Sequence[str], tmp_path_factory: Any) -> Path:
    """Return a bundle of that model, made once for all the tests of a run; do not write into it."""
    key = (str(model_folder), *variants)
    if key not in _MADE:
        _MADE[key] = make_bundle(tmp_path_factory.mktemp("bundle") / "bundle", model_folder, variants)
    return _MADE[key]


def add_goldens(folder: Path, texts: Sequence[str]) -> None:
    """Write a golden.jsonl of the Python runtime's ids and vectors, with the default prompt, and put it on record."""
    from dataclasses import asdict

    from mirrorkit.runtime.encoder import Encoder

    encoder = Encoder(folder, "fp32", threads=1)
    ids, vectors = encoder._encoding.opened.tokenizer.ids(texts, encoder.usage.prompt()), encoder.encode(texts)
    rows = (
        {"text": text, "input_ids": ids[i].tolist(), "embedding": vectors[i].tolist()} for i, text in enumerate(texts)
    )
    (folder / "golden.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    manifest = folder / "mirrorkit.json"
    files = {name: asdict(record) for name, record in record_files(folder).items()}
    value = {**json.loads(manifest.read_text(encoding="utf-8")), "files": files}
    manifest.write_text(json.dumps(value), encoding="utf-8")


def describe(folder: Path, encoder: Any, variants: Sequence[str]) -> Bundle:
    """Return what mirrorkit.json is to say of `folder`, a bundle of that SentenceEncoder."""
    return Bundle(
        folder=folder,
        architecture=encoder.backbone.config.model_type,
        dim=encoder.dim,
        max_length=encoder.max_length,
        pooling=encoder.pooling,
        pad_token_id=encoder.tokenizer.pad_token_id,
        variants={name: _variant(name) for name in variants},
        files=record_files(folder),
        usage=encoder.usage,
        width=encoder.width,
        pools_only=encoder.layout.pools_only,
        scalar_ranges=ranges_of(encoder.encode(RANGED)),
    )


def _variant(name: str) -> Variant:
    graph = Graph.ONNXRUNTIME if name in ("fp32-fused", "int8", "int4") else Graph.ONNX
    return Variant(name, VARIANT_FILES[name], Precision(name.removesuffix("-fused")), graph)


def _derive(name: str, plain: Path, file: Path) -> None:
    if name == "int8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(plain, file, weight_type=QuantType.QInt8, per_channel=True)
    elif name != "fp32":
        shutil.copyfile(plain, file)


def make_foreign(
    folder: Path,
    tokenizer: Path,
    *,
    inputs: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids"),
    outputs: Sequence[str] = ("token_embeddings", "sentence_embedding"),
    file: str = "onnx/model.onnx",
    dim: int | str = 8,
    kind: str = "int64",
    **settings: object,
) -> Path:
    """Write a folder as others do: a graph whose vectors are the sums of rows of a table, a tokenizer, a config.

    `token_type_ids` adds the row 1 of the table wherever it is not zero, so that a wrong feed shows. `dim` may be a
    name: the graph then does not tell it, and it is 8.
    """
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    config = {"model_type": "bert", "max_position_embeddings": 64, **settings}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    size = len(json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"])
    save_graph(folder / file, table(size), inputs, outputs, dim, kind)
    return folder


def table(size: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the token vectors of the foreign graphs, float32 [size, 8]."""
    return np.random.default_rng(5).normal(size=(size, 8)).astype(np.float32)


def save_graph(
    file: Path,
    rows: np.ndarray[Any, np.dtype[np.float32]],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dim: int | str = 8,
    kind: str = "int64",
) -> None:
    """Write a graph that looks ids up in `rows`; outputs named `sentence…` or `pool…` sum over the mask."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["looked_up"])]
    hidden = "looked_up"
    if "token_type_ids" in inputs:
        nodes += [
            helper.make_node("Gather", ["table", "token_type_ids"], ["typed"]),
            helper.make_node("Sub", ["typed", "zeroth"], ["extra"]),  # nothing for type 0
            helper.make_node("Add", ["looked_up", "extra"], ["with_types"]),
        ]
        hidden = "with_types"
    pooled = [name for name in outputs if name.startswith(("sentence", "pool", "logits"))]
    nodes += [helper.make_node("Identity", [hidden], [name]) for name in outputs if name not in pooled]
    if pooled:
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["wide_mask"]),
            helper.make_node("Mul", [hidden, "wide_mask"], ["masked"]),
            helper.make_node("ReduceSum", ["masked", "middle"], ["summed"], keepdims=0),
            # Which columns are kept is known only when the graph runs, so that without `dim` nobody knows how many.
            helper.make_node("NonZero", ["columns"], ["kept_by_axis"]),
            helper.make_node("Squeeze", ["kept_by_axis"], ["kept"]),
            helper.make_node("Gather", ["summed", "kept"], ["gathered"], axis=1),
            *(helper.make_node("Identity", ["gathered" if isinstance(dim, str) else "summed"], [n]) for n in pooled),
        ]
    whole = TensorProto.INT32 if kind == "int32" else TensorProto.INT64
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info(name, whole, ["b", "s"]) for name in inputs],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", dim] if name in pooled else ["b", "s", dim])
            for name in outputs
        ],
        [
            numpy_helper.from_array(rows, "table"),
            numpy_helper.from_array(rows[:1], "zeroth"),
            numpy_helper.from_array(np.ones(8, dtype=np.float32), "columns"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "middle"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)
