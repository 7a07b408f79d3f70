"""Find out by running it whether a part of a graph computes the additive form of the padding mask."""

from __future__ import annotations

import numpy as np

from mirrorkit.extras import require
from mirrorkit.runtime.ort import open_graph

require("onnx", extra="export")
require("onnxscript", extra="export")
import onnx
import onnx_ir as ir

LOOKS_AWAY = -1e4  # a score this low is a weight of exactly 0 after Softmax
_MASKS = ([[1, 1, 1, 1, 1]], [[1, 0, 0], [1, 1, 1], [1, 1, 0]], [[1]], [[0, 1, 1, 0], [1, 0, 0, 1]])


def is_padding_mask(model: ir.Model, value: ir.Value) -> bool:
    """Return whether `value` is 0 for keys that the attention mask keeps and very low for the rest, for any query.

    Transformers writes this in many ways; what it computes is one thing. A mask that also depends on the distance, or
    on anything but the attention mask and the shapes, does not count.
    """
    nodes = _ancestors(value)
    if nodes is None or value.producer() is None:
        return False
    for mask in _MASKS:
        kept = np.array(mask, dtype=np.int64)
        actual = _run(model, nodes, value, kept)
        if actual is None or actual.ndim != 4 or actual.dtype != np.float32:
            return False
        batch, keys = kept.shape
        if actual.shape[1] != 1 or actual.shape[2] not in {1, keys} or actual.shape[::3] != (batch, keys):
            return False
        allowed = np.broadcast_to(kept[:, None, None, :] == 1, actual.shape)
        if not ((actual[allowed] == 0).all() and (actual[~allowed] <= LOOKS_AWAY).all()):
            return False
    return True


def _ancestors(value: ir.Value) -> set[ir.Node] | None:
    """Return the nodes behind `value`, or None where floating-point weights or too many nodes are among them."""
    found: set[ir.Node] = set()
    open_values = [value]
    while open_values:
        node = open_values.pop().producer()
        if node is None or node in found:
            continue
        found.add(node)
        if len(found) > 60 or node.op_type in {"MatMul", "LayerNormalization", "Softmax"}:
            return None
        open_values += [v for v in node.inputs if v is not None]
    return found


def _run(
    model: ir.Model, nodes: set[ir.Node], value: ir.Value, mask: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    used = {v.name: v for node in nodes for v in node.inputs if v is not None}
    graph = onnx.helper.make_graph(
        [ir.to_proto(node) for node in model.graph if node in nodes],
        "mask",
        [ir.to_proto(v) for v in model.graph.inputs],
        [onnx.helper.make_empty_tensor_value_info(value.name or "")],
        [ir.to_proto(v.const_value) for v in used.values() if v.const_value is not None],
    )
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    proto = onnx.helper.make_model(graph, opset_imports=imports, ir_version=model.ir_version)
    session = open_graph(proto.SerializeToString(), threads=1)
    feeds = {"input_ids": np.ones_like(mask), "attention_mask": mask}
    (result,) = session.run([value.name], {i.name: feeds[i.name] for i in session.get_inputs()})
    return result if isinstance(result, np.ndarray) else None
