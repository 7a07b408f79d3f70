"""In which precision OpenVINO multiplies, and which graph of a bundle that takes."""

from __future__ import annotations

from enum import Enum

from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import VARIANT_FILES

DEVICES = ("cpu", "gpu", "npu")


class Precision(str, Enum):
    """In what OpenVINO multiplies."""

    FP32 = "fp32"
    BF16 = "bf16"  # of the fp32 graph
    INT8 = "int8"  # what the graph has in eight bits; the rest stays fp32

    def __str__(self) -> str:
        return self.value

    @property
    def graph(self) -> str:
        """Name of the variant whose graph is read."""
        return "int8" if self is Precision.INT8 else "fp32"

    @property
    def variant(self) -> str:
        """What an encoder of it calls itself."""
        return f"openvino-{self}"


_GRAPHS = {"fp32": "fp32", "int8": "int8", VARIANT_FILES["fp32"]: "fp32", VARIANT_FILES["int8"]: "int8"}
_OWN = {precision.variant: precision for precision in Precision}


def asked_for(variant: str, precision: str | None) -> Precision | None:
    """Return the precision that both come to; None where neither says one.

    `variant` is `auto`, a graph (`fp32`, `int8` or its file), or what an encoder of OpenVINO calls itself. Raises
    ConfigError for others, and for a precision that is not of that graph.
    """
    names = ", ".join(Precision)
    if precision is not None and precision not in set(Precision):
        raise ConfigError(f"precision {precision!r}: must be one of {names}")
    wanted = None if precision is None else Precision(precision)
    if variant == "auto":
        return wanted
    if variant in _OWN and wanted in (None, _OWN[variant]):
        return _OWN[variant]
    if variant in _GRAPHS and (wanted is None or wanted.graph == _GRAPHS[variant]):
        return wanted or Precision(_GRAPHS[variant])
    if variant in _OWN or variant in _GRAPHS:
        raise ConfigError(f"variant {variant}: cannot be combined with precision {precision}")
    raise ConfigError(
        f"variant {variant!r}: OpenVINO reads the plain graphs fp32 and int8; leave the variant out and give "
        f"`precision`, one of {names}"
    )
