"""How far each precision may be from the fp32 vectors of torch. All limits stand here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import Precision


@dataclass(frozen=True)
class Thresholds:
    """Limits for one precision; the texts are at least 256 real and awkward ones, the vectors of unit length."""

    cosine_min: float  # at least; of a text's vector and its reference, the worst text
    cosine_p1: float  # at least; the first percentile over the texts
    cosine_mean: float  # at least; mean over the texts
    max_abs: float  # at most; difference in any component of any vector
    spearman: float  # at least; rank correlation of the similarities of all pairs of texts
    overlap: float  # at least; share of the 10 nearest neighbours that stay among them, mean over the texts
    invariance: float  # at most; difference in any component between a text alone, in a batch, and padded
    steady_only: bool = False  # leave out texts that say one token over and over, see `measure.steady`
    overridden: tuple[str, ...] = ()  # the limits that the user set

    def limits(self) -> dict[str, float]:
        """Return the limits by name."""
        return {name: value for name, value in asdict(self).items() if name not in _NO_LIMITS}


_NO_LIMITS = ("steady_only", "overridden")
AT_MOST = ("max_abs", "invariance")  # the others are "at least"
ON_GPU_INT8 = "int8-gpu"

# Scores on STS move by hundredths of a point at a mean of 0.99. What a text's neighbours in the batch may change is the
# promise of this variant.
_INT8 = Thresholds(
    cosine_min=0.85,
    cosine_p1=0.95,
    cosine_mean=0.99,
    max_abs=0.25,
    spearman=0.98,
    overlap=0.85,
    invariance=1e-3,
    steady_only=True,
)

THRESHOLDS: Mapping[str, Thresholds] = {
    # What summing in another order costs. A wrong mask, offset or weight costs a hundred times more.
    Precision.FP32: Thresholds(
        cosine_min=0.99999,
        cosine_p1=0.99999,
        cosine_mean=0.999999,
        max_abs=1e-4,
        spearman=0.9999,
        overlap=0.99,
        invariance=5e-5,
    ),
    # Against the sums of its own table, not against the encoder that it was made of: `exporter.static` judges that.
    Precision.STATIC: Thresholds(
        cosine_min=0.99999,
        cosine_p1=0.99999,
        cosine_mean=0.999999,
        max_abs=1e-5,
        spearman=0.9999,
        overlap=0.99,
        invariance=1e-5,
    ),
    # Half precision has 11 bits: some 5e-4 a component, and nothing a ranking notices.
    Precision.FP16: Thresholds(
        cosine_min=0.9995,
        cosine_p1=0.9995,
        cosine_mean=0.9999,
        max_abs=5e-3,
        spearman=0.999,
        overlap=0.97,
        invariance=1e-3,
    ),
    # No variant of a bundle: how OpenVINO and libmirrorkit_ops multiply an fp32 graph. Three bits less than fp16.
    "bf16": Thresholds(
        cosine_min=0.999,
        cosine_p1=0.9995,
        cosine_mean=0.9999,
        max_abs=1e-2,
        spearman=0.999,
        overlap=0.95,
        invariance=5e-3,
    ),
    Precision.INT8: _INT8,
    # No variant of a bundle but int8's graph as an engine on a GPU. Sums come in another order for each shape there,
    # and what is rounded to eight bits after that may fall to either side: noise of 1e-6 to 1e-4 in the sums moves a
    # component by up to 0.031, in fp8 by 0.025. No processor's sums do that, so they are held to the limits above.
    ON_GPU_INT8: replace(_INT8, invariance=5e-2),
    # Engines made of int8's graph as well. all-MiniLM-L6-v2 has, in this order, 0.977, 0.987, 0.996, 0.073, 0.995 and
    # 0.934; of tiny random models the last two were as low as 0.989 and 0.817.
    "fp8": Thresholds(
        cosine_min=0.85,
        cosine_p1=0.95,
        cosine_mean=0.99,
        max_abs=0.25,
        spearman=0.98,
        overlap=0.8,
        invariance=5e-2,
        steady_only=True,
    ),
    # For where size is everything: rankings hold on the whole, single neighbours change.
    Precision.INT4: Thresholds(
        cosine_min=0.70,
        cosine_p1=0.80,
        cosine_mean=0.95,
        max_abs=0.4,
        spearman=0.93,
        overlap=0.70,
        invariance=1e-3,
        steady_only=True,
    ),
}


def overridden(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the limits, by name, that a variant's report says were the user's own."""
    names, recorded = report.get("overridden", ()), report.get("allowed", {})
    return {name: recorded[name] for name in names if name in recorded}


def thresholds_for(precision: str, overrides: Mapping[str, float] | None = None) -> Thresholds:
    """Return the limits of a precision, one of `THRESHOLDS`, with the user's own in place of some.

    Raises ConfigError for an unknown limit, or a value outside the range of its figure.
    """
    limits = THRESHOLDS[precision]
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    known = [f.name for f in fields(Thresholds) if f.name not in _NO_LIMITS]
    for name, value in chosen.items():
        if name not in known:
            raise ConfigError(f"threshold {name!r}: must be one of {', '.join(known)}")
        lowest = 0.0 if name in AT_MOST or name == "overlap" else -1.0
        highest = 2.0 if name in AT_MOST else 1.0
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ConfigError(f"threshold {name}: must be a number, is {value!r}")
        if not lowest <= value <= highest:
            raise ConfigError(f"threshold {name} {value:g}: must be from {lowest:g} to {highest:g}")
    return replace(limits, **chosen, overridden=tuple(sorted(chosen)))  # type: ignore[arg-type]
