"""Which further files an ONNX graph makes a library open, checked before one gets to see it; no onnx package here.

Weights may lie in files that the graph names. Some releases of ONNX Runtime follow such a name wherever it leads: to
an absolute path, up and out of the folder, over a link.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mirrorkit.errors import BundleError
from mirrorkit.formats.files import is_file_within
from mirrorkit.formats.packed import packed_in, read_packed
from mirrorkit.paths import size_of

_MOST_FIELDS = 5_000_000  # in all messages that are walked through; real graphs have some ten thousand
_DEEPEST = 64  # graphs within graphs
_Data = bytes | mmap.mmap | memoryview

# Messages and the fields of them that are walked into: number of the field -> message there. From onnx.proto.
_INTO: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
_MEMORY = "_ORT_MEM_ADDR_"  # in a name, has ONNX Runtime read at an address instead of from a file
_OP_TYPE = 4  # field of a node
_OF_INITIALIZER = 3  # messages around an entry: a model's graph's tensor


def check_graph_paths(source: Path | bytes) -> tuple[Path, ...]:
    """Return the further files that a graph's weights lie in.

    Raises BundleError for a graph with weights in files that are missing or lie outside the graph's own folder.

    Graphs that name ready-made binaries to run, and files that are not ONNX at all, are refused as well. A graph
    given as bytes has no folder, so that it may name no file.
    """
    name = "a graph in memory" if isinstance(source, bytes) else str(source)
    if isinstance(source, bytes):
        _check(source, None, name)
        return ()
    if packed_in(source) is not None:
        return tuple(source.parent / location for location in packed_weights(source))
    if source.suffix == ".ort":  # ONNX Runtime would take it for its own format, which is not looked through here
        raise BundleError(f"{name}: is in ONNX Runtime's own format; only .onnx files are opened")
    try:
        if not size_of(source):
            raise BundleError(f"{name}: is empty")
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return tuple(source.parent / location for location in _check(data, source.parent, name))
    except FileNotFoundError as err:
        raise BundleError(f"{name}: no such file") from err
    except (OSError, ValueError) as err:
        raise BundleError(f"{name}: cannot be read ({getattr(err, 'strerror', None) or err})") from err


def packed_weights(source: Path) -> dict[str, memoryview]:
    """Return what the weights of a graph inside a packed bundle lie in, by the names that the graph has for the files.

    Raises BundleError as `check_graph_paths` does, and for a name in a place where ONNX Runtime would not take the file
    from memory, but look for one of that name in whatever folder the program runs.
    """
    found = packed_in(source)
    assert found is not None
    members = read_packed(found[0]).members
    if found[1] not in members:
        raise BundleError(f"{found[0]}: {found[1]} is missing")
    weights = {}
    try:
        for location, of_initializer in _locations(members[found[1]], str(source)):
            inside = str(PurePosixPath(found[1]).parent / location)
            if _MEMORY in location or not of_initializer or inside not in members:
                raise _outside(str(source), location)
            weights[location] = members[inside]
    except (_MalformedError, UnicodeDecodeError) as err:
        raise BundleError(f"{source}: not a readable ONNX file ({err})") from err
    return weights


def _outside(name: str, location: str) -> BundleError:
    shown = location if len(location) < 200 else location[:200] + "…"
    return BundleError(f"{name}: reads weights from {shown!r}, which is not a file in its folder")


def _check(data: bytes | mmap.mmap, folder: Path | None, name: str) -> list[str]:
    # Without these very bytes there is nothing to find; with them they may still be part of a weight.
    if data.find(b"location") < 0 and data.find(b"EPContext") < 0:
        return []
    found = {}
    try:
        for location, _ in _locations(data, name):
            if location in found:  # one file holds many weights
                continue
            if folder is None or _MEMORY in location or not is_file_within(folder, location):
                raise _outside(name, location)
            found[location] = True
    except (_MalformedError, UnicodeDecodeError) as err:
        raise BundleError(f"{name}: not a readable ONNX file ({err})") from err
    return list(found)


class _MalformedError(Exception):
    pass


def _locations(data: _Data, name: str) -> Iterator[tuple[str, bool]]:
    """Yield the files that weights are said to lie in, and whether they are initializers of the graph itself."""
    seen = 0
    stack = [("model", 0, len(data), 0)]
    while stack:
        message, start, end, depth = stack.pop()
        if depth > 4 * _DEEPEST:
            raise _MalformedError("graphs within graphs without end")
        if message == "entry":
            key, value = _entry(data, start, end)
            if key == "location":
                yield value, depth == _OF_INITIALIZER
            continue
        into = _INTO[message]
        for number, first, last in _fields(data, start, end):
            seen += 1
            if seen > _MOST_FIELDS:
                raise _MalformedError(f"more than {_MOST_FIELDS} parts")
            if message == "node" and number == _OP_TYPE and data[first:last] == b"EPContext":
                raise BundleError(f"{name}: holds an operator EPContext, which runs a binary made elsewhere")
            inner = into.get(number)
            if inner is not None:
                stack.append((inner, first, last, depth + 1))


def _entry(data: _Data, start: int, end: int) -> tuple[str, str]:
    texts = {number: bytes(data[first:last]) for number, first, last in _fields(data, start, end)}
    return texts.get(1, b"").decode(), texts.get(2, b"").decode()


def _fields(data: _Data, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the fields of a protobuf message that lies from `start` to `end`.

    Of each its number, and from where to where its bytes lie; both places are the same for a field that is a number.
    """
    at = start
    while at < end:
        tag = data[at]
        at += 1
        if tag > 0x7F:  # of several bytes, which few are: a call for each would be half of all the time
            tag, at = _varint(data, at - 1, end)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(data, at, end)
            yield tag >> 3, at, at
            continue
        if kind == 2:
            size, at = (data[at], at + 1) if at < end and data[at] < 0x80 else _varint(data, at, end)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _MalformedError(f"a field of kind {kind}")
        if at + size > end:
            raise _MalformedError("cut short")
        yield tag >> 3, at, at + size
        at += size


def _varint(data: _Data, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _MalformedError("cut short")
