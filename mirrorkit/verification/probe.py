"""Open an ONNX file as a checker does: what it takes, what it gives, and all of its outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.batching import Ints, RaggedIds, pad_batch
from mirrorkit.errors import BundleError
from mirrorkit.extras import require
from mirrorkit.layout import Pooling
from mirrorkit.runtime.cores import default_threads
from mirrorkit.verification.measure import Floats
from mirrorkit.verification.problem import first_line

POOLED = "sentence_embedding"
HIDDEN = ("last_hidden_state", "token_embeddings")  # ours and optimum's name; sentence-transformers' own
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_FED = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Port:
    """An input or output of a graph."""

    name: str
    type: str  # as ONNX Runtime writes it: tensor(int64)
    shape: tuple[int | str | None, ...]  # a name for a free axis

    def __str__(self) -> str:
        return f"{self.name} {self.type} [{', '.join('?' if axis is None else str(axis) for axis in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a graph, in its own order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def output(self, *names: str) -> Port | None:
        """Return the first output of one of these names."""
        return next((port for name in names for port in self.outputs if port.name == name), None)


class Probe:
    """An open graph. `pooling` says how to pool token vectors where the graph has no pooled output."""

    def __init__(self, file: Path, *, pad_id: int, pooling: Pooling | None = None) -> None:
        ort = require("onnxruntime", extra="onnx")
        options = ort.SessionOptions()
        options.intra_op_num_threads = default_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._handle = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as err:  # ONNX Runtime's own types have no common base
            raise BundleError(
                f"{file}: cannot be opened by ONNX Runtime {ort.__version__} ({first_line(err)})"
            ) from err
        self.file = file
        self.signature = Signature(_ports(self._handle.get_inputs()), _ports(self._handle.get_outputs()))
        self._pad_id = pad_id
        self._pooling = pooling

    def run(self, names: list[str], input_ids: Ints, mask: Ints) -> list[Any]:
        """Return the named outputs for int64 ids and mask [batch, seq]; raises BundleError where the run fails."""
        feeds = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": np.zeros_like(input_ids)}
        kinds = {port.name: _INTEGERS.get(port.type) for port in self.signature.inputs}
        unknown = [str(p) for p in self.signature.inputs if p.name not in _FED or kinds[p.name] is None]
        if unknown:
            raise BundleError(f"{self.file}: takes {unknown[0]}; only integer {', '.join(_FED)} can be fed")
        typed = {name: feeds[name].astype(kind, copy=False) for name, kind in kinds.items() if kind is not None}
        try:
            return list(self._handle.run(names, typed))
        except Exception as err:  # as above
            shape = " x ".join(map(str, input_ids.shape))
            raise BundleError(f"{self.file}: failed on a batch of {shape} tokens ({first_line(err)})") from err

    def vectors(self, ids: RaggedIds, batches: Iterable[Ints], *, pad_to: int | None = None) -> Floats:
        """Return the sentence vectors of the rows of `batches`, in their order, each batch padded on the right."""
        return np.concatenate([self.batch(ids, rows, pad_to) for rows in batches])

    def batch(self, ids: RaggedIds, rows: Ints, pad_to: int | None = None) -> Floats:
        """Return the sentence vectors [len(rows), dim] of one batch."""
        width = pad_to or max(1, int(ids.lengths[rows].max()))
        input_ids, mask = pad_batch(ids, rows, self._pad_id, width)
        if self.signature.output(POOLED) is not None:
            return np.asarray(self.run([POOLED], input_ids, mask)[0], dtype=np.float32)
        hidden = self.signature.output(*HIDDEN)
        if hidden is None or self._pooling is None:
            raise BundleError(f"{self.file}: no {POOLED} and no token vectors with a known pooling among its outputs")
        return unit(pool(self.run([hidden.name], input_ids, mask)[0], mask, self._pooling))


def pool(hidden: Any, mask: Ints, pooling: Pooling) -> Floats:
    """Reduce token vectors [batch, seq, dim] to [batch, dim], as consumers do on their side."""
    wide = np.asarray(hidden, dtype=np.float32)
    if pooling is Pooling.CLS:
        return np.asarray(wide[:, 0])
    weights = mask[:, :, None].astype(np.float32)
    if pooling is Pooling.MAX:
        return np.asarray(np.where(weights > 0, wide, -np.inf).max(axis=1))
    if pooling is Pooling.MEAN_PADDED:
        return np.asarray(wide.mean(axis=1))
    return np.asarray((wide * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1))


def unit(vectors: Floats) -> Floats:
    """Return the rows at length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _ports(values: Any) -> tuple[Port, ...]:
    return tuple(Port(v.name, v.type, tuple(v.shape)) for v in values)
