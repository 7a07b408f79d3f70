"""The graph that TensorRT parses: the pooled output alone, standard operators, and every type written into it.

TensorRT 11 has no precision flags: it computes what the graph says. So half precision is a matter of this graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import ConfigError, ExportError
from mirrorkit.exporter.graph.fp16 import FULL, HALF, to_half
from mirrorkit.exporter.graph.onnxfile import write
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.exporter.tensorrt.float8 import to_float8
from mirrorkit.exporter.tensorrt.signed import to_signed
from mirrorkit.extras import require
from mirrorkit.formats.bundle import GOLDEN, INPUTS, Bundle, Graph, Variant, check_file
from mirrorkit.formats.engine import OUTPUT, Ids, Precision
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.golden import read_goldens
from mirrorkit.text.ragged import Ints
from mirrorkit.verification.graphs import check_graph

require("onnxscript", extra="export")
import onnx_ir as ir
from onnx_ir.passes import common

FILE = "model.onnx"
# The precision of an engine -> the variants it can be made of, the best first.
SOURCES = {
    Precision.FP32: ("fp32",),
    Precision.FP16: ("fp16", "fp32"),
    Precision.INT8: ("int8",),
    Precision.FP8: ("int8",),
}
# The standard operators that the parser of TensorRT-RTX 1.7.1 rejects. It accepts operators of other domains, some of
# them wrongly: those are refused here whatever their name.
# fmt: off
UNKNOWN = {
    "AffineGrid", "Bernoulli", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
    "CenterCropPad", "Col2Im", "Compress", "ConcatFromSequence", "ConvInteger", "CumProd", "DFT", "DeformConv", "Det",
    "DynamicQuantizeLinear", "ImageDecoder", "MatMulInteger", "MaxRoiPool", "MaxUnpool", "MelWeightMatrix",
    "Multinomial", "NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement", "QLinearConv",
    "QLinearMatMul", "RegexFullMatch", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
    "SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss", "SplitToSequence", "StringConcat",
    "StringNormalizer", "StringSplit", "SwiGLU", "TfIdfVectorizer", "Unique",
}
# fmt: on


@dataclass(frozen=True)
class SourceGraph:
    """A graph made for TensorRT, and what of the bundle it was made of."""

    file: Path
    variant: str
    files: Mapping[str, str]  # of the variant, relative to the bundle, and their sha256
    sha256: str  # of the graph itself


def choose_variant(bundle: Bundle, precision: Precision) -> Variant:
    """Return the variant that an engine of that precision is made of; raises ConfigError where there is none."""
    names = SOURCES[precision]
    for name in names:
        if name in bundle.variants and bundle.variants[name].graph is Graph.ONNX:
            return bundle.variants[name]
    raise ConfigError(
        f"{bundle.folder}: holds {', '.join(bundle.variants) or 'no variant'}; an {precision} engine is made of "
        f"{' or '.join(names)}: export the bundle with {names[0]} as well"
    )


def source_graph(bundle: Bundle, precision: Precision, ids: Ids, folder: Path) -> SourceGraph:
    """Write the graph for TensorRT into `folder`.

    It takes `input_ids` and `attention_mask` of the type `ids`, [batch_size, sequence_length], and gives
    `sentence_embedding`, fp32 [batch_size, dim]. Raises ConfigError where the bundle holds nothing to make it of,
    BundleError for a damaged file, ExportError for operators that TensorRT does not know.
    """
    variant = choose_variant(bundle, precision)
    names = (variant.file, *variant.data_files)
    for name in names:
        check_file(bundle, name)
    model = ir.load(str(bundle.path(variant.file)))
    check_operators(model, variant.file)
    if precision is Precision.FP16 and variant.name != "fp16":
        to_half(model, _probes(bundle, model), folder)
    if precision is Precision.INT8:
        to_signed(model.graph)
    if precision is Precision.FP8:
        to_float8(model)
    _keep_pooled_output(model)
    _normalise_in_full(model.graph)
    _scale_queries(model.graph)
    if ids is Ids.INT32:
        _take_int32(model.graph)
    common.RemoveUnusedNodesPass()(model)
    common.TopologicalSortPass()(model)
    file = folder / FILE
    write(model, file)
    data = tuple(path for path in (file.with_name(f"{FILE}_data"),) if path.is_file())
    for problem in check_graph(file, Graph.ONNX, data):
        raise ExportError(f"the graph for TensorRT is not well-formed: {problem.line()}")
    return SourceGraph(file, variant.name, {name: bundle.files[name].sha256 for name in names}, sha256_of(file))


def check_operators(model: ir.Model, name: str) -> None:
    """Raise ExportError naming all operators of the model that TensorRT is known not to take, and how many of each."""
    nodes = [*model.graph.all_nodes(), *(node for f in model.functions.values() for node in f)]
    own = {(identifier[0], identifier[1]) for identifier in model.functions}
    found: Counter[str] = Counter()
    for node in nodes:
        standard = node.domain in {"", "ai.onnx"}
        if (node.domain, node.op_type) not in own and (not standard or node.op_type in UNKNOWN):
            found[node.op_type if standard else f"{node.domain}.{node.op_type}"] += 1
    if found:
        listed = ", ".join(f"{operator} ({count})" for operator, count in sorted(found.items()))
        raise ExportError(f"{name}: TensorRT does not know its operators {listed}")


def _keep_pooled_output(model: ir.Model) -> None:
    graph = model.graph
    pooled = [value for value in graph.outputs if value.name == OUTPUT]
    if len(pooled) != 1 or pooled[0].dtype != FULL:
        raise ExportError(f"the graph has no fp32 output {OUTPUT}")
    graph.outputs[:] = pooled
    common.RemoveUnusedNodesPass()(model)  # first of all what only the other output needs


def _normalise_in_full(graph: ir.Graph) -> None:
    """Let every layer normalisation compute in fp32: its squares and sums are what half precision loses most of."""
    for node in list(graph):
        if node.op_type != "LayerNormalization" or node.outputs[0].dtype != HALF:
            continue
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype == HALF:
                node.replace_input_with(index, _full(graph, node, value))
        out = node.outputs[0]
        cast = ir.node("Cast", [out], attributes={"to": HALF}, name=f"{node.name}/fp16")
        half = cast.outputs[0]
        out.replace_all_uses_with(half)
        cast.replace_input_with(0, out)
        half.name, half.shape, half.type = out.name, out.shape, out.type
        out.name, out.type = f"{out.name}_fp32", ir.TensorType(FULL)
        for use in list(half.uses()):  # who made fp32 of it again takes what there is
            if use.node.op_type == "Cast" and use.node.outputs[0].dtype == FULL:
                use.node.outputs[0].replace_all_uses_with(out)
        graph.insert_after(node, cast)


def _full(graph: ir.Graph, node: ir.Node, value: ir.Value) -> ir.Value:
    name = f"{value.name}_fp32"
    if value.const_value is not None:
        known = graph.initializers.get(name)
        return known or add_constant(graph, name, value.const_value.numpy().astype(np.float32))
    cast = ir.node("Cast", [value], attributes={"to": FULL}, name=f"{node.name}/fp32")
    out = cast.outputs[0]
    out.name, out.shape, out.type = f"{node.name}/input_fp32", value.shape, ir.TensorType(FULL)
    graph.insert_before(node, cast)
    return out


def _scale_queries(graph: ir.Graph) -> None:
    """Scale the queries instead of the scores, as TensorRT asks for to make one kernel of an attention."""
    for node in list(graph):
        if node.op_type not in {"Mul", "Div"} or not _ends_in_softmax(node.outputs[0]):
            continue
        scores, scale = node.inputs[:2]
        if node.op_type == "Mul" and scale is not None and scale.const_value is None:
            scores, scale = scale, scores
        product = scores.producer() if scores is not None else None
        query = product.inputs[0] if product is not None and product.op_type == "MatMul" else None
        if product is None or query is None or scale is None or len(product.outputs[0].uses()) != 1:
            continue
        if scale.const_value is None or scale.const_value.size != 1 or scale.dtype != query.dtype:
            continue
        scaled = ir.node(node.op_type, [query, scale], name=f"{node.name}/query")
        out = scaled.outputs[0]
        out.name, out.shape, out.type = f"{node.name}/query", query.shape, query.type
        product.replace_input_with(0, out)
        graph.insert_before(product, scaled)
        node.outputs[0].replace_all_uses_with(product.outputs[0])


def _ends_in_softmax(value: ir.Value) -> bool:
    """Return whether nothing reads `value` but Softmax and what adds a mask in front of it."""
    users = [use.node for use in value.uses()]
    return bool(users) and all(
        user.op_type == "Softmax" or (user.op_type in {"Add", "Where"} and _ends_in_softmax(user.outputs[0]))
        for user in users
    )


def _take_int32(graph: ir.Graph) -> None:
    """Take the ids as int32 and widen them at once: half the bytes to copy, and no other operator changes."""
    for value in graph.inputs:
        if value.name not in INPUTS or value.dtype != ir.DataType.INT64:
            raise ExportError(f"the graph takes {value.name} {value.dtype}; expected int64 {', '.join(INPUTS)}")
        cast = ir.node("Cast", [value], attributes={"to": ir.DataType.INT64}, name=f"{value.name}/int64")
        wide = cast.outputs[0]
        wide.name, wide.shape, wide.type = f"{value.name}_int64", value.shape, value.type
        value.replace_all_uses_with(wide)
        cast.replace_input_with(0, value)
        value.type = ir.TensorType(ir.DataType.INT32)
        graph.insert_before(graph[0], cast)


def _probes(bundle: Bundle, model: ir.Model) -> list[Ints]:
    """Return rows of ids that show how large the activations get: the golden texts, and tokens at random."""
    goldens = read_goldens(bundle.path(GOLDEN), bundle.dim)
    rows: list[Ints] = [goldens.ids[i].astype(np.int64) for i in range(len(goldens.ids))]
    random = np.random.default_rng(0)
    for length in {min(length, bundle.max_length) for length in (8, 32, bundle.max_length)}:
        row = random.integers(0, _vocabulary(model.graph), length)
        row[0], row[-1] = rows[0][0], rows[0][-1]  # the special tokens, which often reach furthest
        rows.append(row)
    return rows


def _vocabulary(graph: ir.Graph) -> int:
    """Return how many rows the table has that `input_ids` are looked up in."""
    ids: Any = next(value for value in graph.inputs if value.name == INPUTS[0])
    tables = [use.node.inputs[0] for use in ids.uses() if use.node.op_type == "Gather"]
    sizes = [table.const_value.shape[0] for table in tables if table is not None and table.const_value is not None]
    if not sizes:
        raise ExportError("no table of token embeddings was found in the fp32 graph; export fp16 into the bundle")
    return min(int(size) for size in sizes)
