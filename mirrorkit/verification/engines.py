"""Hold graphs of a bundle, as another engine or another arithmetic runs them, to the limits of their precisions."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import Bundle, Variant
from mirrorkit.runtime.opening import open_variant
from mirrorkit.runtime.ops import BF16, BF16_VARIANT, FUSED, offers_bf16
from mirrorkit.runtime.runner import Runner
from mirrorkit.runtime.session import open_session
from mirrorkit.verification.problem import Problem
from mirrorkit.verification.proof import FEWEST, WITHOUT_RANKS, Reference, measure
from mirrorkit.verification.thresholds import THRESHOLDS, Thresholds, overridden, thresholds_for

log = logging.getLogger(__name__)

Figures = dict[str, dict[str, float]]


def check_openvino(
    bundle: Bundle, variants: Iterable[Variant], reference: Reference, problems: list[Problem]
) -> Figures:
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
        session = open_graph(open_variant(bundle, variant), "cpu", precision)
        figures[precision.variant] = _held(session, precision.variant, limits, bundle, reference, problems)
    return figures


def check_ops(bundle: Bundle, variants: Iterable[Variant], reference: Reference, problems: list[Problem]) -> Figures:
    """Run the fused fp32 graph in bf16, where libmirrorkit_ops is named and offers that; add what is wrong.

    Returns what was measured, by `ops-bf16`; nothing, but for a line in the log, for a graph that it has no layers for,
    which is refused as well when it is asked for.
    """
    fused = next((variant for variant in variants if variant.name == FUSED), None)
    if fused is None or not offers_bf16():
        return {}
    try:
        session = open_session(bundle.path(fused.file), bf16=True)
    except ConfigError as err:
        log.info("%s is not proved: %s", BF16_VARIANT, err)
        return {}
    return {BF16_VARIANT: _held(session, BF16_VARIANT, THRESHOLDS[BF16], bundle, reference, problems)}


def _held(
    runner: Runner, name: str, limits: Thresholds, bundle: Bundle, reference: Reference, problems: list[Problem]
) -> dict[str, float]:
    found = measure(
        runner,
        reference,
        limits,
        pad_id=bundle.pad_token_id,
        longest=bundle.max_length,
        min_texts=FEWEST,
        judged=WITHOUT_RANKS,
    )
    problems += [replace(problem, where=name) for problem in found.problems]
    return found.figures
