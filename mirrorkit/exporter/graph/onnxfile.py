"""Read and write ONNX files so that the place of every weight in them is known and aligned.

A weight that begins on a 64-byte boundary can be mapped into memory as it lies, by a second graph as well. That is why
protobuf is written here and not by its library: onnx.save and onnx_ir.save put weights into a model wherever the
message happens to have them, and neither says where. With its big weights aligned and their places known, one
model.onnx is a single file for whoever loads it, and still lends its weights to the fused graph beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mirrorkit.extras import require

require("onnx", extra="export")
require("onnxscript", extra="export")
import onnx
import onnx_ir as ir

ALIGNMENT = 64  # bytes
PAGE = 4096  # bytes; what lies in a file of its own begins on a page, so that it can be mapped everywhere
BIG = 1024  # bytes; smaller tensors stay where they are
LARGEST_FILE = 2**31 - 1  # bytes; protobuf reads no larger message

# Protobuf tags: field number * 8 + 2 for "so many bytes follow".
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_DOC = 0x3A, 0x2A, 0x42, 0x4A, 0x62


@dataclass(frozen=True)
class Place:
    """Where the bytes of a weight lie."""

    location: str  # name of a file in the same folder
    offset: int
    length: int


def write(model: ir.Model, file: Path) -> None:
    """Write `model` as one file, or beside `file` + "_data" where it would pass 2 GB."""
    shell, tensors = _split(model)
    size = sum(tensor.nbytes + 2 * ALIGNMENT + 256 for tensor in tensors) + shell.ByteSize()
    if size > LARGEST_FILE:
        _write_beside(shell, tensors, file)
    else:
        _write_inside(shell, tensors, file)


def write_referring(model: ir.Model, file: Path, places: dict[str, Place]) -> None:
    """Write `model` with those of its weights that `places` names left where they are."""
    shell, tensors = _split(model)
    for tensor in tensors:
        place = places.get(tensor.name or "")
        shell.graph.initializer.append(ir.to_proto(tensor) if place is None else _pointer(tensor, place))
    file.write_bytes(shell.SerializeToString(deterministic=True))


def places_of(file: Path) -> dict[str, Place]:
    """Return where the big weights of a graph lie, by name."""
    places: dict[str, Place] = {}
    with file.open("rb") as handle:
        end = file.stat().st_size
        for _, start, size in _fields(handle, 0, end, {_MODEL_GRAPH}):
            for _, at, length in _fields(handle, start, start + size, {_GRAPH_INITIALIZER}):
                name, place = _tensor_place(handle, file.name, at, length)
                if place is not None and place.length >= BIG:
                    places[name] = place
    return places


def _split(model: ir.Model) -> tuple[onnx.ModelProto, list[Any]]:
    """Return the model without its weights, and the weights, small ones first."""
    graph = model.graph
    values = sorted(graph.initializers.values(), key=lambda v: (v.const_value.nbytes, v.name))  # type: ignore[union-attr]
    tensors = [v.const_value for v in values]
    for value, tensor in zip(values, tensors, strict=True):
        assert tensor is not None
        tensor.name = value.name
    kept = dict(graph.initializers)
    graph.initializers.clear()
    try:
        return ir.to_proto(model), tensors
    finally:
        graph.initializers.update(kept)


def _write_inside(shell: onnx.ModelProto, tensors: list[Any], file: Path) -> None:
    graph = shell.graph.SerializeToString(deterministic=True)
    shell.ClearField("graph")
    head = shell.SerializeToString(deterministic=True)
    # The length of the graph stands before it and depends on the padding, which depends on where the graph begins:
    # five bytes always hold it.
    position = len(head) + 1 + 5 + len(graph)
    parts: list[tuple[bytes, Any]] = []
    for tensor in tensors:
        front, position = _front(tensor, position)
        parts.append((front, tensor))
    with file.open("wb") as out:
        out.write(head + bytes([_MODEL_GRAPH]) + _padded_varint(position - len(head) - 6) + graph)
        for front, tensor in parts:
            out.write(front)
            out.write(tensor.tobytes())
        assert out.tell() == position


def _front(tensor: Any, position: int) -> tuple[bytes, int]:
    """Return what stands before a tensor's data so that it begins aligned, and where it ends."""
    bare = onnx.TensorProto(dims=list(tensor.shape.numpy()), data_type=int(tensor.dtype), name=tensor.name)
    described = bare.SerializeToString(deterministic=True)
    raw = bytes([_TENSOR_RAW]) + _varint(tensor.nbytes)
    # The gap is a doc string of spaces: the one field of a tensor that every reader passes over.
    for gap in range(2 * ALIGNMENT) if tensor.nbytes >= BIG else (0,):
        filler = bytes([_TENSOR_DOC]) + _varint(gap - 2) + b" " * (gap - 2) if gap >= 2 else b""
        body = described + filler + raw
        front = bytes([_GRAPH_INITIALIZER]) + _varint(len(body) + tensor.nbytes) + body
        start = position + len(front)
        if gap != 1 and (tensor.nbytes < BIG or start % ALIGNMENT == 0):
            return front, start + tensor.nbytes
    raise AssertionError("among twice as many gaps as there are remainders, one aligns")


def _write_beside(shell: onnx.ModelProto, tensors: list[Any], file: Path) -> None:
    beside = file.with_name(file.name + "_data")
    with beside.open("wb") as out:
        for tensor in tensors:
            if tensor.nbytes < BIG:
                shell.graph.initializer.append(ir.to_proto(tensor))
                continue
            out.write(b"\0" * (-out.tell() % PAGE))
            shell.graph.initializer.append(_pointer(tensor, Place(beside.name, out.tell(), tensor.nbytes)))
            out.write(tensor.tobytes())
    file.write_bytes(shell.SerializeToString(deterministic=True))


def _pointer(tensor: Any, place: Place) -> onnx.TensorProto:
    assert tensor.nbytes == place.length
    proto = onnx.TensorProto(dims=list(tensor.shape.numpy()), data_type=int(tensor.dtype), name=tensor.name)
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place.location), ("offset", place.offset), ("length", place.length)):
        proto.external_data.add(key=key, value=str(value))
    return proto


def _tensor_place(handle: BinaryIO, own: str, start: int, size: int) -> tuple[str, Place | None]:
    name, place = "", None
    external = False
    for tag, at, length in _fields(handle, start, start + size, {_TENSOR_NAME, _TENSOR_RAW, 0x6A}):
        if tag == _TENSOR_NAME:
            handle.seek(at)
            name = handle.read(length).decode()
        elif tag == _TENSOR_RAW:
            place = Place(own, at, length)
        else:
            external = True
    if external:
        handle.seek(start)
        proto = onnx.TensorProto.FromString(handle.read(size))
        entries = {entry.key: entry.value for entry in proto.external_data}
        place = Place(entries["location"], int(entries["offset"]), int(entries["length"]))
    return name, place


def _fields(handle: BinaryIO, start: int, end: int, tags: set[int]) -> Iterator[tuple[int, int, int]]:
    """Yield tag, offset and length of the fields among `tags` of the protobuf message in file[start:end]."""
    while start < end:
        handle.seek(start)
        tag, start = _read_varint(handle, start)
        kind = tag & 7
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind in {0, 2}:
            number, start = _read_varint(handle, start)
            length = number if kind == 2 else 0
        if tag in tags:
            yield tag, start, length
        start += length


def _read_varint(handle: BinaryIO, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = handle.read(1)[0]
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _padded_varint(value: int) -> bytes:
    """Return `value` in five bytes, which protobuf readers take as well as the shortest form."""
    return bytes([(value >> shift) & 127 | 128 for shift in (0, 7, 14, 21)] + [value >> 28])
