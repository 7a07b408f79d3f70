"""What goes into the multiplications of a graph while it encodes the calibration texts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.onnxfile import places_of, write_referring
from mirrorkit.exporter.quantize.groups import Group, weight_groups
from mirrorkit.extras import require
from mirrorkit.runtime.ort import open_graph
from mirrorkit.text.ragged import Floats, Ints, RaggedIds, pad_batch

require("onnxscript", extra="export")
import onnx_ir as ir
from onnx_ir.passes import common

MAX_TOKENS = 16_384  # more say nothing new about ranges
SHORT = 3  # tokens: one between two special ones
MAX_BYTES = 256 << 20  # of activations held at once; what does not fit takes another pass over the texts
BATCH_TOKENS = 1024


def sample_of(ids: RaggedIds) -> Ints:
    """Return the rows to run: the shortest, which cost little, and an even sample of the others.

    That is at most MAX_TOKENS tokens, unless the shortest are more. Raises ExportError where there are none.
    """
    rows = np.flatnonzero(ids.lengths > 0)
    if not len(rows):
        raise ExportError("calibration: no text; at least one is needed, and a few hundred are better")
    short = ids.lengths[rows] <= SHORT
    others, left = rows[~short], max(0, MAX_TOKENS - int(ids.lengths[rows[short]].sum()))
    fitting = int(len(others) * min(1.0, left / max(1, int(ids.lengths[others].sum()))))
    fitting = max(fitting, min(1, len(others)))
    return np.sort(np.concatenate([rows[short], others[np.arange(fitting) * len(others) // max(1, fitting)]]))


def group_activations(source: Path, ids: RaggedIds, rows: Ints, pad_id: int) -> Iterator[list[Floats]]:
    """Yield for each group of `weight_groups`, in order, its inputs' values, [tokens, channels] each.

    Texts run in batches of one length, so no value is of padding. As many groups share a pass as fit in memory; of
    a group that does not fit alone, an even sample of the tokens is kept.
    """
    groups = weight_groups(ir.load(source).graph)
    tokens = int(ids.lengths[rows].sum())
    start = 0
    while start < len(groups):
        end, size = start, 0
        while end < len(groups) and (end == start or size + _bytes(groups[end], tokens) <= MAX_BYTES):
            size += _bytes(groups[end], tokens)
            end += 1
        keep_every = -(-size // MAX_BYTES)
        names = [[value.name or "" for value in group.inputs] for group in groups[start:end]]
        values = _run(source, [n for group in names for n in group], ids, rows, pad_id, max(1, keep_every))
        for group in names:
            yield [values.pop(name) for name in group]
        start = end


def _bytes(group: Group, tokens: int) -> int:
    return len(group.inputs) * group.width * tokens * 4


def _run(
    source: Path, names: Sequence[str], ids: RaggedIds, rows: Ints, pad_id: int, keep_every: int
) -> dict[str, Floats]:
    session = _exposing(source, names)
    found: dict[str, list[Floats]] = {name: [] for name in names}
    for batch in _even_batches(ids.lengths, rows):
        input_ids, mask = pad_batch(ids, batch, pad_id)
        outputs = session.run(list(names), {"input_ids": input_ids, "attention_mask": mask})
        for name, value in zip(names, outputs, strict=True):
            found[name].append(np.ascontiguousarray(value.reshape(-1, value.shape[-1])[::keep_every]))
    values = {name: np.concatenate(parts) for name, parts in found.items()}
    broken = next((name for name, value in values.items() if not np.isfinite(value).all()), None)
    if broken is not None:
        raise ExportError(f"{source}: {broken} is not finite on the calibration texts, so it cannot be quantised")
    return values


def _even_batches(lengths: Ints, rows: Ints) -> Iterator[Ints]:
    for length in np.unique(lengths[rows]):
        alike = rows[lengths[rows] == length]
        step = max(1, BATCH_TOKENS // int(length))
        yield from (alike[i : i + step] for i in range(0, len(alike), step))


def _exposing(source: Path, names: Sequence[str]) -> Any:
    """Open a copy of the graph that returns the values `names` and computes no more; its weights stay in `source`."""
    model = ir.load(source)
    graph = model.graph
    values = {v.name: v for node in graph for v in node.outputs}
    graph.outputs[:] = [values[name] for name in dict.fromkeys(names)]
    common.RemoveUnusedNodesPass()(model)
    with tempfile.NamedTemporaryFile(dir=source.parent, prefix=f".{source.stem}", suffix=".onnx") as file:
        write_referring(model, Path(file.name), places_of(source))
        return open_graph(Path(file.name))
