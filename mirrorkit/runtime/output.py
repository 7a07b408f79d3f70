"""Vectors in fewer bytes: half precision, a byte a number, a bit a number. The numbers of sentence-transformers.

int8 and uint8 are the step out of 255 between the lowest and the highest value that the component takes over the
calibration texts; what lies beyond is cut off. binary and ubinary are one bit a component, whether it is above 0,
eight to a byte, the first in the highest bit; as int8 the byte is less 128.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import ConfigError
from mirrorkit.formats.fields import Ranges
from mirrorkit.text.ragged import Floats

Array = npt.NDArray[Any]

DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int8": np.int8,
    "uint8": np.uint8,
    "binary": np.int8,
    "ubinary": np.uint8,
}
SCALARS = ("int8", "uint8")  # what needs ranges
BITS = ("binary", "ubinary")


def check_output_type(name: str) -> None:
    """Raise ConfigError for a name that is none of these types."""
    if name not in DTYPES:
        raise ConfigError(f"output_type {name!r}: must be one of {', '.join(DTYPES)}")


def width_of(dim: int, output_type: str) -> int:
    """Return how many numbers a vector of `dim` dimensions is written as."""
    return -(-dim // 8) if output_type in BITS else dim


def ranges_of(vectors: Floats) -> Ranges:
    """Return the lowest and the highest value of each component over vectors [n, dim], as a manifest has them."""
    low, high = (tuple(float(f"{value:.9g}") for value in side) for side in (vectors.min(axis=0), vectors.max(axis=0)))
    return low, high


def converted(vectors: Floats, output_type: str, ranges: Floats | None = None) -> Array:
    """Return vectors [n, dim] as that type: [n, dim], or [n, dim / 8] rounded up for a bit a component.

    `ranges` [2, dim] are the lowest and the highest value of each component, which int8 and uint8 need.
    """
    if output_type in BITS:
        packed = np.packbits(vectors > 0, axis=-1)
        return packed if output_type == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)
    if output_type not in SCALARS:
        return vectors.astype(DTYPES[output_type], copy=False)
    assert ranges is not None
    low = ranges[0]
    steps = (ranges[1] - low) / np.float32(255)
    steps = np.where(steps == 0, np.float32(1), steps)
    levels: Floats = np.clip(np.floor((vectors - low) / steps), 0, 255)
    return levels.astype(np.uint8) if output_type == "uint8" else (levels - 128).astype(np.int8)
