"""The ONNX graph of a static variant: look token vectors up, add those that are pooled, bring the sum to unit length.

Standard operators alone, inputs and outputs as every graph of a bundle has them. Pooling `last_hidden_state` by its
mean gives the sentence vector too, for special tokens are rows of zeros and only its direction counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.exporter.graph.onnxfile import Place, write_referring
from mirrorkit.extras import require
from mirrorkit.formats.bundle import AXES, INPUTS, OUTPUTS
from mirrorkit.formats.table_file import TokenTable, write_table

require("onnx", extra="export")
require("onnxscript", extra="export")
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

_OPSET = 18
TABLE_SUFFIX = ".safetensors"


def table_beside(graph: Path) -> Path:
    """Return where the token vectors of a graph lie."""
    return graph.with_suffix(TABLE_SUFFIX)


def write_graph(file: Path, table: TokenTable) -> None:
    """Write the table as safetensors, and the graph that has its weights from there."""
    beside = table_beside(file)
    places = {name: Place(beside.name, *where) for name, where in write_table(beside, table).items()}
    dim = table.dim
    batch, length = AXES
    ids, mask = (helper.make_tensor_value_info(name, TensorProto.INT64, [batch, length]) for name in INPUTS)
    hidden = helper.make_tensor_value_info(OUTPUTS[0], TensorProto.FLOAT, [batch, length, dim])
    sentence = helper.make_tensor_value_info(OUTPUTS[1], TensorProto.FLOAT, [batch, dim])
    constants: dict[str, npt.NDArray[Any]] = {
        "one": np.array(1, dtype=np.int64),
        "along_tokens": np.array([1], dtype=np.int64),
        "last": np.array([-1], dtype=np.int64),
        "least": np.array(1e-12, dtype=np.float32),
        "codes": table.codes,
        "scales": table.scales,
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["codes", INPUTS[0]], ["bytes"]),
        node("Cast", ["bytes"], ["values"], to=TensorProto.FLOAT),
        node("Gather", ["scales", INPUTS[0]], ["token_scales"]),
        node("Unsqueeze", ["token_scales", "last"], ["scale"]),
        node("Mul", ["values", "scale"], [OUTPUTS[0]]),
        node("Equal", [INPUTS[1], "one"], ["pooled"]),  # a 2 is for a token of a prompt that is not pooled
        node("Cast", ["pooled"], ["counted"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["counted", "last"], ["weight"]),
        node("Mul", [OUTPUTS[0], "weight"], ["kept"]),
        node("ReduceSum", ["kept", "along_tokens"], ["sum"], keepdims=0),
        node("ReduceL2", ["sum", "last"], ["length"], keepdims=1),
        node("Max", ["length", "least"], ["divisor"]),
        node("Div", ["sum", "divisor"], [OUTPUTS[1]]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "static", [ids, mask], [hidden, sentence], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="mirrorkit")
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    write_referring(ir.from_proto(model), file, places)
