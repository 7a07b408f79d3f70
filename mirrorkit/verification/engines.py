"""Hold the plain graphs of a bundle, as another engine runs them, to the limits of their precisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mirrorkit.formats.bundle import Bundle, Variant
from mirrorkit.runtime.opening import open_variant
from mirrorkit.verification.problem import Problem
from mirrorkit.verification.proof import FEWEST, WITHOUT_RANKS, Reference, measure
from mirrorkit.verification.thresholds import THRESHOLDS, overridden, thresholds_for


def check_openvino(
    bundle: Bundle, variants: Iterable[Variant], reference: Reference, problems: list[Problem]
) -> dict[str, dict[str, float]]:
    """Run variants, whose files are sound, in each precision that OpenVINO has for them here; add what is wrong.

    Returns what was measured, by `openvino-fp32` and the like. Raises BundleError for a graph that it cannot open.
    """
    from mirrorkit.runtime.openvino.library import available
    from mirrorkit.runtime.openvino.session import open_graph

    plain = {variant.name: variant for variant in variants}
    figures = {}
    for precision in available("cpu"):
        variant = plain.get(precision.graph)
        if variant is None:
            continue
        limits = THRESHOLDS[precision.value]
        if precision == variant.precision.value:  # with the user's own, which the variant was published with
            limits = thresholds_for(variant.precision, overridden(variant.report))
        found = measure(
            open_graph(open_variant(bundle, variant), "cpu", precision),
            reference,
            limits,
            pad_id=bundle.pad_token_id,
            longest=bundle.max_length,
            min_texts=FEWEST,
            judged=WITHOUT_RANKS,
        )
        figures[precision.variant] = found.figures
        problems += [replace(problem, where=precision.variant) for problem in found.problems]
    return figures
