"""Prove one ONNX graph of a bundle: well-formed, as the contract says, and with the vectors of its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirrorkit.errors import BundleError
from mirrorkit.formats.bundle import OUTPUTS, Graph
from mirrorkit.runtime.pooling import pool, unit
from mirrorkit.runtime.session import OnnxSession
from mirrorkit.text.awkward import MIN_TEXTS
from mirrorkit.text.ragged import pad_batch
from mirrorkit.verification.graphs import check_contract, check_graph
from mirrorkit.verification.measure import largest_difference, mixed_batches
from mirrorkit.verification.problem import Problem, Stage
from mirrorkit.verification.proof import ALL_LIMITS, Reference, Verification, measure
from mirrorkit.verification.thresholds import Thresholds

OUTSIDE = 1e-4  # at most; between the graph's own pooling and the same outside of it, both fp32


@dataclass(frozen=True)
class Contract:
    """What a graph must be: from the model's configuration, not from the graph."""

    dim: int
    max_length: int  # tokens
    pooling: str  # one or several joined by +
    pad_id: int
    width: int  # of a token vector
    pools_only: bool = True  # whether others, pooling the token vectors, arrive at the sentence vector


def verify_graph(
    file: Path,
    kind: Graph,
    contract: Contract,
    reference: Reference,
    thresholds: Thresholds,
    *,
    data_files: tuple[Path, ...] = (),
    min_texts: int = MIN_TEXTS,
    judged: Sequence[str] = ALL_LIMITS,
    with_onnx: bool = True,
    ops: bool = False,
) -> Verification:
    """Hold the graph to the contract and its vectors to the reference.

    The stages follow one another: graph, contract, then those of `measure`. A graph that fails one of the first two is
    not run. Without `with_onnx` (the onnx package is no part of the light runtime) ONNX Runtime's own reading stands
    in for the first stage. With `ops` libmirrorkit_ops takes part where it is there.
    """
    problems = check_graph(file, kind, data_files) if with_onnx else []
    signature = None
    if not problems:
        try:
            session = OnnxSession(file, ops=ops)
            signature = session.signature
            problems = check_contract(signature, contract.dim, contract.width)
            if not problems:
                found = measure(
                    session,
                    reference,
                    thresholds,
                    pad_id=contract.pad_id,
                    longest=contract.max_length,
                    min_texts=min_texts,
                    judged=judged,
                )
                pooled = found.figures and contract.pools_only
                outside = _check_outside_pooling(session, contract, reference, thresholds) if pooled else []
                return replace(found, problems=(*found.problems, *outside), signature=signature)
        except BundleError as err:
            problems.append(Problem(Stage.GRAPH, "cannot be run", str(err)))
    return Verification(tuple(problems), {}, thresholds, len(reference.ids), None, signature)


def _check_outside_pooling(
    session: OnnxSession, contract: Contract, reference: Reference, thresholds: Thresholds
) -> list[Problem]:
    """Consumers that pool by themselves must arrive at the graph's own sentence vector."""
    ids = reference.ids
    rows = next(mixed_batches(ids.lengths, np.arange(len(ids))))
    input_ids, mask = pad_batch(ids, rows, contract.pad_id)
    mask[:, : reference.unpooled] *= 2
    hidden, pooled = session.outputs(OUTPUTS, input_ids, mask)
    vectors = pool(hidden, (mask == 1).astype(np.int64), contract.pooling)
    if reference.usage.normalized:
        vectors = unit(vectors)
    off = largest_difference(vectors[:, : pooled.shape[1]], pooled) / reference.scale
    allowed = max(OUTSIDE, thresholds.invariance)
    if off <= allowed:
        return []
    what = f"sentence_embedding against {contract.pooling} pooling of last_hidden_state"
    return [Problem(Stage.NUMBERS, what, off, f"at most {allowed:g}")]
