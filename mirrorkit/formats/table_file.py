"""The table of a static variant: a row of bytes and a scale for each token, as safetensors. numpy alone.

One file serves all: the ONNX graph beside it has its weights from it, and the light runtime reads it as it is.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import BundleError
from mirrorkit.formats.packed import bytes_of
from mirrorkit.text.ragged import Floats

LEVELS = 127  # of a component, to either side of zero
_ALIGNMENT = 64  # bytes; at which the scales begin
_MOST_HEADER = 1 << 16  # bytes; ours has some two hundred


@dataclass(frozen=True)
class TokenTable:
    """A vector for each token id: its codes times its scale."""

    codes: npt.NDArray[np.int8]  # [tokens, dim]
    scales: Floats  # [tokens]

    @property
    def dim(self) -> int:
        return int(self.codes.shape[1])

    def vectors(self) -> Floats:
        """Return the token vectors float32 [tokens, dim]."""
        return np.asarray(self.codes * self.scales[:, None], dtype=np.float32)


def rounded(vectors: Floats) -> TokenTable:
    """Return the table whose rows are nearest to `vectors` [tokens, dim]; a row of zeros stays one."""
    largest = np.abs(vectors).max(axis=1)
    scales = np.where(largest > 0, largest / LEVELS, 1).astype(np.float32)
    return TokenTable(np.rint(vectors / scales[:, None]).astype(np.int8), scales)


def write_table(file: Path, table: TokenTable) -> dict[str, tuple[int, int]]:
    """Write the table; return where in the file its parts lie: name -> first byte and number of bytes."""
    scales, codes = table.scales.astype("<f4").tobytes(), np.ascontiguousarray(table.codes).tobytes()
    ends = len(scales), len(scales) + len(codes)
    about = {
        "scales": {"dtype": "F32", "shape": [*table.scales.shape], "data_offsets": [0, ends[0]]},
        "codes": {"dtype": "I8", "shape": [*table.codes.shape], "data_offsets": [ends[0], ends[1]]},
    }
    header = json.dumps(about).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNMENT)
    file.write_bytes(struct.pack("<Q", len(header)) + header + scales + codes)
    first = 8 + len(header)
    return {"scales": (first, len(scales)), "codes": (first + len(scales), len(codes))}


def read_table(file: Path) -> TokenTable:
    """Read what `write_table` wrote; raises BundleError for anything else."""
    try:
        content = bytes_of(file)
    except OSError as err:
        raise BundleError(f"{file}: cannot be read ({err.strerror or err})") from err
    try:
        (length,) = struct.unpack_from("<Q", content)
        if length > _MOST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        about = json.loads(bytes(content[8 : 8 + length]))
        data = memoryview(content)[8 + length :]
        codes, scales = _part(about, data, "codes", "I8", np.int8, 2), _part(about, data, "scales", "F32", "<f4", 1)
        if len(codes) != len(scales) or not codes.size or not np.isfinite(scales).all():
            raise ValueError(f"{len(codes)} rows and {len(scales)} scales")
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as err:
        raise BundleError(f"{file}: not a table of token vectors ({type(err).__name__}: {err})") from err
    return TokenTable(codes, scales)


def _part(about: Any, data: memoryview, name: str, kind: str, dtype: Any, axes: int) -> npt.NDArray[Any]:
    entry = about[name]
    shape, (start, end) = [int(size) for size in entry["shape"]], entry["data_offsets"]
    if entry["dtype"] != kind or len(shape) != axes or min(shape) < 1 or not 0 <= start <= end <= len(data):
        raise ValueError(f"{name} must be {kind} of {axes} axes that lies in the file")
    return np.frombuffer(data[start:end], dtype=dtype).reshape(shape)
