"""A file of float32 arrays in the safetensors format, without that library: eight bytes of length, JSON, numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mirrorkit.errors import ModelError
from mirrorkit.paths import size_of
from mirrorkit.text.ragged import Floats

_LARGEST_HEADER = 1 << 20  # bytes
_LARGEST = 1 << 30  # bytes of a file


def write_tensors(file: Path, tensors: Mapping[str, Floats]) -> None:
    """Write arrays by name, whole or not at all being the caller's affair."""
    header: dict[str, object] = {}
    at = 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)  # so that the numbers are aligned
    with file.open("wb") as out:
        out.write(len(raw).to_bytes(8, "little"))
        out.write(raw)
        for values in tensors.values():
            out.write(np.ascontiguousarray(values, dtype="<f4").tobytes())


def read_tensors(file: Path) -> dict[str, Floats]:
    """Return the arrays by name; raises ModelError for what is no such file, or holds other types than float32."""
    try:
        size = size_of(file)
        if size > _LARGEST:
            raise ModelError(f"{file}: has {size:,} bytes; at most {_LARGEST:,} are read")
        raw = file.read_bytes()
    except OSError as err:
        raise ModelError(f"{file}: cannot be read ({err.strerror or err})") from err
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or not 2 <= length <= min(_LARGEST_HEADER, len(raw) - 8):
        raise ModelError(f"{file}: not a safetensors file")
    try:
        header = json.loads(raw[8 : 8 + length])
        return {name: _array(raw[8 + length :], about) for name, about in header.items() if name != "__metadata__"}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as err:
        raise ModelError(f"{file}: its header is not that of a safetensors file of float32 ({err})") from err


def _array(numbers: bytes, about: Mapping[str, object]) -> Floats:
    shape, offsets = about["shape"], about["data_offsets"]
    if about["dtype"] != "F32":
        raise ValueError(f"dtype {about['dtype']!r}")
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2):
        raise ValueError("no shape or data_offsets")
    if any(type(n) is not int or n < 0 for n in (*shape, *offsets)):
        raise ValueError("a shape or offset that is no whole number")
    start, end = offsets
    if not start <= end <= len(numbers) or end - start != 4 * math.prod(shape):
        raise ValueError(f"offsets {offsets} do not fit the shape {shape}")
    return np.frombuffer(numbers, dtype="<f4", count=math.prod(shape), offset=start).reshape(shape)
