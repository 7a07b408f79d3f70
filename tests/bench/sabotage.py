"""Spoil bundles on purpose, each in one way and with consistent hashes, so that only measuring can tell."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.formats.bundle import TOKENIZER, VARIANT_FILES, read_bundle, record_files
from mirrorkit.formats.bundle_writer import write_manifest

Spoil = Callable[[Path], None]  # takes the folder of a copy
POOLED, HIDDEN = "sentence_embedding", "last_hidden_state"
NOISE = 0.03  # of the spread of the matrix's own values
SLOWING = 400  # products with a square matrix, where the tiny model itself has a dozen


def sabotaged(bundle: Path, out: Path, spoil: Spoil) -> Path:
    """Copy a bundle to `out`, spoil the copy, and have its manifest say that this is how it should be."""
    described = read_bundle(bundle)
    shutil.copytree(bundle, out)
    for variant in described.variants.values():
        if variant.data_files:  # weights in the file of another graph; to spoil that one must leave this one alone
            _edit(out / variant.file, lambda _: None)
    spoil(out)
    apart = {name: replace(variant, data_files=()) for name, variant in described.variants.items()}
    write_manifest(replace(described, folder=out, variants=apart, files=record_files(out)))
    return out


def perturbed_weight(folder: Path, variant: str = "fp32") -> None:
    """Add a few percent of noise to one weight matrix of the encoder's layers."""

    def change(model: Any) -> None:
        from onnx import numpy_helper

        multiplied = {node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
        tensor = next(t for t in model.graph.initializer if t.name in multiplied and len(t.dims) == 2)
        weight = numpy_helper.to_array(tensor)
        noise = np.random.default_rng(0).normal(size=weight.shape) * weight.std() * NOISE
        tensor.CopyFrom(numpy_helper.from_array((weight + noise).astype(np.float32), tensor.name))

    _edit(folder / VARIANT_FILES[variant], change)


def wrong_pooling(folder: Path, variant: str = "fp32") -> None:
    """Take the first token's vector where the model takes the mean."""

    def change(model: Any) -> None:
        from onnx import helper, numpy_helper

        _producer(model, POOLED).output[0] = "sabotage/never_used"
        model.graph.initializer.append(numpy_helper.from_array(np.array(0), "sabotage/first"))
        model.graph.node.extend(
            [
                helper.make_node("Gather", [HIDDEN, "sabotage/first"], ["sabotage/cls"], axis=1),
                helper.make_node("LpNormalization", ["sabotage/cls"], [POOLED], axis=-1, p=2),
            ]
        )

    _edit(folder / VARIANT_FILES[variant], change)


def missing_normalisation(folder: Path, variant: str = "fp32") -> None:
    """Give the pooled vector as it is, before it is divided by its length."""

    def change(model: Any) -> None:
        from onnx import helper

        division = _producer(model, POOLED)
        assert division.op_type == "Div"
        model.graph.node.append(helper.make_node("Identity", [division.input[0]], [POOLED]))
        division.output[0] = "sabotage/never_used"

    _edit(folder / VARIANT_FILES[variant], change)


def truncated_vocabulary(folder: Path) -> None:
    """Forget the last third of the vocabulary: its words become shorter pieces or unknown."""
    file = folder / TOKENIZER
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    kept = len(vocabulary) * 2 // 3
    tokenizer["model"]["vocab"] = {token: number for token, number in vocabulary.items() if number < kept}
    file.write_text(json.dumps(tokenizer), encoding="utf-8")


def slow_graph(folder: Path, variant: str) -> None:
    """Send the token vectors through products that change nothing, which no optimiser can know, and add the nothing."""

    def change(model: Any) -> None:
        from onnx import helper, numpy_helper

        output = next(o for o in model.graph.output if o.name == POOLED)
        dim = output.type.tensor_type.shape.dim[1].dim_value
        model.graph.initializer.extend(
            [
                numpy_helper.from_array(np.eye(dim, dtype=np.float32), "sabotage/unity"),
                numpy_helper.from_array(np.array([1]), "sabotage/tokens"),
            ]
        )
        _producer(model, POOLED).output[0] = "sabotage/fast"
        names = [HIDDEN, *(f"sabotage/same_{number}" for number in range(SLOWING))]
        products = [helper.make_node("MatMul", [x, "sabotage/unity"], [y]) for x, y in itertools.pairwise(names)]
        model.graph.node.extend(
            [
                *products,
                helper.make_node("Sub", [names[-1], HIDDEN], ["sabotage/zero"]),
                helper.make_node("ReduceSum", ["sabotage/zero", "sabotage/tokens"], ["sabotage/zeros"], keepdims=0),
                helper.make_node("Add", ["sabotage/fast", "sabotage/zeros"], [POOLED]),
            ]
        )

    _edit(folder / VARIANT_FILES[variant], change)


def _producer(model: Any, output: str) -> Any:
    (node,) = [node for node in model.graph.node if output in node.output]
    assert list(node.output) == [output]
    return node


def _edit(file: Path, change: Callable[[Any], None]) -> None:
    """Change a graph and write it as one file, with its weights inside."""
    import onnx

    model = onnx.load(str(file))
    change(model)
    onnx.save(model, str(file))
