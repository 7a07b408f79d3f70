"""Hold the pooled graph, in ONNX Runtime or as an engine on a GPU, to the vectors of the bundle it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from mirrorkit.batching import Ints, RaggedIds, pad_batch, token_budget_batches
from mirrorkit.bundle import GOLDEN, TOKENIZER, Bundle, Precision, check_file
from mirrorkit.errors import BundleError
from mirrorkit.exporter.calibration import calibration_texts
from mirrorkit.runtime.session import open_session
from mirrorkit.runtime.tokenizer import Tokenizer
from mirrorkit.verification.check import JUDGED
from mirrorkit.verification.golden import read_goldens
from mirrorkit.verification.measure import Floats
from mirrorkit.verification.probe import Probe
from mirrorkit.verification.problem import Problem, Stage
from mirrorkit.verification.texts import MIN_TEXTS, even_sample
from mirrorkit.verification.thresholds import thresholds_for
from mirrorkit.verification.verify import ALL_LIMITS, BATCH_TOKENS, Findings, Reference, Verification, compare
from mirrorkit.verification.verify import invariance as measured_invariance

FEWEST = 3  # texts; fewer have no ranks


class Session(Protocol):
    """What runs a graph: `mirrorkit.runtime.session.Session`, or an engine's."""

    def run(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq]."""


class _SessionProbe(Probe):
    """A session, asked as the checks ask a file."""

    def __init__(self, session: Session, pad_id: int) -> None:
        self._session = session
        self._pad_id = pad_id

    def batch(self, ids: RaggedIds, rows: Ints, pad_to: int | None = None) -> Floats:
        width = pad_to or max(1, int(ids.lengths[rows].max()))
        return self._session.run(*pad_batch(ids, rows, self._pad_id, width))


def reference_of(bundle: Bundle) -> Reference:
    """Return token ids and the fp32 vectors that the bundle stands for.

    The golden texts with the vectors that the original model gave, and where the bundle holds its fp32 graph, real
    texts with what that graph gives: enough to judge ranks as well.
    """
    plain = bundle.variants.get("fp32")
    for name in (GOLDEN, TOKENIZER, *((plain.file, *plain.data_files) if plain is not None else ())):
        check_file(bundle, name)
    goldens = read_goldens(bundle.path(GOLDEN), bundle.dim)
    if plain is None:
        return Reference(goldens.ids, goldens.vectors)
    known = set(goldens.texts)
    texts = even_sample([text for text in calibration_texts(None).texts if text not in known], MIN_TEXTS)
    more = Tokenizer(bundle.path(TOKENIZER), bundle.max_length).ids(texts)
    probe = _SessionProbe(open_session(bundle.path(plain.file)), bundle.pad_token_id)
    return Reference(_joined(goldens.ids, more), np.concatenate([goldens.vectors, _vectors(probe, more)]))


def prove(
    session: Session,
    bundle: Bundle,
    reference: Reference,
    precision: Precision,
    *,
    longest: int | None = None,
    own_limits: Mapping[str, float] | None = None,
) -> Verification:
    """Run the stages numbers, invariance and determinism as for every variant of that precision.

    `longest` leaves out texts of more tokens, which an engine has no profile for. `own_limits` replaces limits by name.
    """
    thresholds = thresholds_for(precision, own_limits)
    reference = _up_to(reference, longest) if longest is not None else reference
    ids = reference.ids
    found = Findings(thresholds, ALL_LIMITS if len(ids) >= MIN_TEXTS else JUDGED)
    if len(ids) < FEWEST:
        found.problems.append(Problem(Stage.NUMBERS, "texts to measure on", len(ids), f"at least {FEWEST}"))
        return Verification(tuple(found.problems), {}, thresholds, len(ids), None)
    try:
        _measure(_SessionProbe(session, bundle.pad_token_id), ids, reference, found, longest or bundle.max_length)
    except BundleError as err:
        found.problems.append(Problem(Stage.GRAPH, "cannot be run", str(err)))
    return Verification(tuple(found.problems), found.figures, thresholds, len(ids), found.worst)


def _measure(probe: Probe, ids: RaggedIds, reference: Reference, found: Findings, longest: int) -> None:
    actual = _vectors(probe, ids)
    if actual.shape != reference.vectors.shape:
        found.problems.append(
            Problem(Stage.CONTRACT, "shape of the vectors", str(actual.shape), str(reference.vectors.shape))
        )
        return
    broken = int((~np.isfinite(actual)).any(axis=1).sum())
    if broken:
        found.problems.append(Problem(Stage.NUMBERS, "vectors with values that are no numbers", broken, 0))
        return
    compare(actual, reference, found)
    found.figures["invariance"] = measured_invariance(probe, ids, longest)
    found.hold(Stage.INVARIANCE, ("invariance",))
    batches = _batches(ids)
    repeated = [batches[0], batches[len(batches) // 2], batches[-1]]  # long, middling, many short ones
    changed = sum(int((probe.batch(ids, rows) != actual[rows]).any(axis=1).sum()) for rows in repeated)
    if changed:
        found.problems.append(Problem(Stage.DETERMINISM, "vectors that change from run to run", changed, 0))


def _vectors(probe: Probe, ids: RaggedIds) -> Floats:
    """Return the vectors of all rows, in the order of the rows."""
    batches = _batches(ids)
    found = probe.vectors(ids, batches)
    ordered = np.empty_like(found)
    ordered[np.concatenate(batches)] = found
    return ordered


def _batches(ids: RaggedIds) -> list[Ints]:
    return list(token_budget_batches(ids.lengths, BATCH_TOKENS))


def _up_to(reference: Reference, longest: int) -> Reference:
    rows = np.flatnonzero(reference.ids.lengths <= longest)
    return Reference(_of_rows([reference.ids[int(row)].tolist() for row in rows]), reference.vectors[rows])


def _joined(first: RaggedIds, second: RaggedIds) -> RaggedIds:
    return _of_rows([ids[i].tolist() for ids in (first, second) for i in range(len(ids))])


def _of_rows(rows: Sequence[list[int]]) -> RaggedIds:
    return RaggedIds.from_blocks([list(rows)])
