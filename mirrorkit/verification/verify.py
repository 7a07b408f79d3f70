"""Prove one ONNX graph against the vectors of the model it came from, in stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mirrorkit.batching import Ints, RaggedIds, pad_batch, token_budget_batches
from mirrorkit.bundle import OUTPUTS, Graph
from mirrorkit.errors import BundleError
from mirrorkit.layout import Pooling
from mirrorkit.verification.graphs import check_contract, check_graph
from mirrorkit.verification.measure import Floats, largest_difference, parity, steady
from mirrorkit.verification.probe import Probe, pool, unit
from mirrorkit.verification.problem import Problem, Stage
from mirrorkit.verification.texts import LONGEST, MIN_TEXTS
from mirrorkit.verification.thresholds import AT_MOST, Thresholds

BATCH_TOKENS = 1024  # padding included, as the runtime batches
MIXED_TOKENS = 2048  # of a batch of texts of all lengths, and of texts padded to the maximum
MIXED_TEXTS = 16
ALONE = 96  # texts run one at a time, and then in other company
OUTSIDE = 1e-4  # at most; between the graph's own pooling and the same outside of it, both fp32
UNIT_LENGTH = 1e-3  # at most; distance of a vector's length from 1


@dataclass(frozen=True)
class Contract:
    """What a graph must be: from the model's configuration, not from the graph."""

    dim: int
    max_length: int  # tokens
    pooling: Pooling
    pad_id: int


@dataclass(frozen=True)
class Reference:
    """Token ids, and the fp32 vectors [n, dim] that the original model gives for them."""

    ids: RaggedIds
    vectors: Floats


@dataclass(frozen=True)
class Verification:
    """What was measured of one graph, against which limits, and what failed."""

    problems: tuple[Problem, ...]
    figures: dict[str, float]
    thresholds: Thresholds
    texts: int
    worst: int | None  # the text whose vector is furthest off

    @property
    def passed(self) -> bool:
        return not self.problems

    def report(self) -> dict[str, object]:
        """Return what mirrorkit.json records."""
        return {
            **self.figures,
            "texts": self.texts,
            "allowed": self.thresholds.limits(),
            "overridden": list(self.thresholds.overridden),
        }


ALL_LIMITS = ("cosine_min", "cosine_p1", "cosine_mean", "max_abs", "spearman", "overlap", "invariance")


@dataclass
class Findings:
    thresholds: Thresholds
    judged: tuple[str, ...] = ALL_LIMITS
    problems: list[Problem] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    worst: int | None = None

    def hold(self, stage: Stage, names: tuple[str, ...]) -> None:
        """Hold figures to their thresholds; one that was not measured has failed."""
        limits = self.thresholds.limits()
        for name in (name for name in names if name in self.judged):
            measured, limit = self.figures.get(name), limits[name]
            at_most = name in AT_MOST
            good = measured is not None and (measured <= limit if at_most else measured >= limit)  # False for NaN
            if not good:
                bound = f"{'at most' if at_most else 'at least'} {limit:g}"
                self.problems.append(Problem(stage, name, "not measured" if measured is None else measured, bound))


def verify_graph(
    file: Path,
    kind: Graph,
    contract: Contract,
    reference: Reference,
    thresholds: Thresholds,
    *,
    data_files: tuple[Path, ...] = (),
    min_texts: int = MIN_TEXTS,
    judged: tuple[str, ...] = ALL_LIMITS,
    with_onnx: bool = True,
) -> Verification:
    """Hold the graph to the contract and its vectors to the reference.

    The stages follow one another: graph, contract, numbers, invariance, determinism. A graph that fails one of the
    first two is not run. All figures are measured, those of `judged` are held to their limits. Without `with_onnx`
    (the onnx package is no part of the light runtime) ONNX Runtime's own reading stands in for the first stage.
    """
    found = Findings(thresholds, judged)
    if with_onnx:
        found.problems += check_graph(file, kind, data_files)
    if not found.problems:
        try:
            probe = Probe(file, pad_id=contract.pad_id)
            found.problems += check_contract(probe.signature, contract.dim)
            if not found.problems:
                _measure(probe, contract, reference, found, min_texts)
        except BundleError as err:
            found.problems.append(Problem(Stage.GRAPH, "cannot be run", str(err)))
    return Verification(tuple(found.problems), found.figures, thresholds, len(reference.ids), found.worst)


def _measure(probe: Probe, contract: Contract, reference: Reference, found: Findings, min_texts: int) -> None:
    ids = reference.ids
    if len(ids) < min_texts:
        found.problems.append(Problem(Stage.NUMBERS, "texts to measure on", len(ids), f"at least {min_texts}"))
        return
    batches = list(token_budget_batches(ids.lengths, BATCH_TOKENS))
    actual = _in_order(probe, ids, batches)
    broken = int((~np.isfinite(actual)).any(axis=1).sum())
    if broken:
        found.problems.append(Problem(Stage.NUMBERS, "vectors with values that are no numbers", broken, 0))
        return
    compare(actual, reference, found)
    _check_outside_pooling(probe, contract, ids, found)
    found.figures["invariance"] = invariance(probe, ids, contract.max_length)
    found.hold(Stage.INVARIANCE, ("invariance",))
    repeated = [batches[0], batches[len(batches) // 2], batches[-1]]  # long, middling, many short ones
    changed = sum(int((probe.batch(ids, rows) != actual[rows]).any(axis=1).sum()) for rows in repeated)
    if changed:
        found.problems.append(Problem(Stage.DETERMINISM, "vectors that change from run to run", changed, 0))


def compare(actual: Floats, reference: Reference, found: Findings) -> None:
    """Measure and judge the distance of `actual` from the reference."""
    everything = np.arange(len(actual))
    rows = everything[steady(reference.ids)] if found.thresholds.steady_only else everything
    measured = asdict(parity(actual[rows], reference.vectors[rows]))
    off, found.worst = measured.pop("length_error"), int(rows[measured.pop("worst")])
    found.figures.update(measured)
    if not off <= UNIT_LENGTH:
        found.problems.append(Problem(Stage.NUMBERS, "distance of a vector's length from 1", off, UNIT_LENGTH))
    found.hold(Stage.NUMBERS, ("cosine_min", "cosine_p1", "cosine_mean", "max_abs", "spearman", "overlap"))


def _check_outside_pooling(probe: Probe, contract: Contract, ids: RaggedIds, found: Findings) -> None:
    """Consumers that pool by themselves must arrive at the graph's own sentence vector."""
    rows = next(mixed_batches(ids.lengths, np.arange(len(ids))))
    input_ids, mask = pad_batch(ids, rows, contract.pad_id)
    hidden, pooled = probe.run(list(OUTPUTS), input_ids, mask)
    off = largest_difference(unit(pool(hidden, mask, contract.pooling)), pooled)
    allowed = max(OUTSIDE, found.thresholds.invariance)
    if not off <= allowed:
        what = f"sentence_embedding against {contract.pooling} pooling of last_hidden_state"
        found.problems.append(Problem(Stage.NUMBERS, what, off, f"at most {allowed:g}"))


def invariance(probe: Probe, ids: RaggedIds, max_length: int) -> float:
    """Return the largest change of any component when a text is batched or padded instead of run alone."""
    rows = np.unique(np.linspace(0, len(ids) - 1, min(ALONE, len(ids))).astype(np.int64))
    alone = np.full((len(ids), probe.batch(ids, rows[:1]).shape[1]), np.nan, dtype=np.float32)
    for row in rows:
        alone[row] = probe.batch(ids, np.array([row]))
    worst = [largest_difference(probe.batch(ids, batch), alone[batch]) for batch in mixed_batches(ids.lengths, rows)]
    longest = min(max_length, LONGEST)
    for batch in _padded_batches(rows, longest):
        pad_to = max(longest, int(ids.lengths[batch].max()))
        worst.append(largest_difference(probe.batch(ids, batch, pad_to), alone[batch]))
    return float(max(worst)) if np.isfinite(worst).all() else float("inf")


def mixed_batches(lengths: Ints, rows: Ints) -> Iterator[Ints]:
    """Yield `rows` shuffled, in batches of up to 16 of all lengths, short beside long."""
    batch: list[int] = []
    longest = 0
    for row in np.random.default_rng(0).permutation(rows).tolist():
        longest = max(longest, int(lengths[row]))
        if batch and (len(batch) == MIXED_TEXTS or (len(batch) + 1) * longest > MIXED_TOKENS):
            yield np.array(batch)
            batch, longest = [], int(lengths[row])
        batch.append(row)
    yield np.array(batch)


def _padded_batches(rows: Ints, longest: int) -> Iterator[Ints]:
    """Yield two batches of an even sample of `rows`, as many texts as there is room for at the maximum length."""
    room = max(1, min(MIXED_TEXTS, MIXED_TOKENS // longest))
    spread = rows[np.linspace(0, len(rows) - 1, min(2 * room, len(rows))).astype(np.int64)]
    yield from (part for part in np.array_split(spread, 2) if len(part))


def _in_order(probe: Probe, ids: RaggedIds, batches: list[Ints]) -> Floats:
    """Return the vectors of all rows, in the order of the rows."""
    vectors = probe.vectors(ids, batches)
    ordered = np.empty_like(vectors)
    ordered[np.concatenate(batches)] = vectors
    return ordered
