"""Look at a folder that others made: a sentence-transformers folder, or one of the hub with ONNX graphs in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mirrorkit.errors import BundleError, ConfigError, ModelError
from mirrorkit.formats.bundle import TOKENIZER, Precision
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.model_folder import ModelLayout
from mirrorkit.formats.pooling import Pooling
from mirrorkit.runtime.opening import Opened, open_folder
from mirrorkit.runtime.pooling import PooledOutside
from mirrorkit.runtime.runner import Runner
from mirrorkit.runtime.session import HIDDEN, POOLED, OnnxSession, Signature
from mirrorkit.text.awkward import awkward_texts
from mirrorkit.text.ragged import Floats, RaggedIds
from mirrorkit.verification.consumers import Contents
from mirrorkit.verification.measure import changes, invariance, parity, vectors_of
from mirrorkit.verification.problem import Problem, Severity, Stage
from mirrorkit.verification.proof import UNIT_LENGTH
from mirrorkit.verification.thresholds import THRESHOLDS

# How the endings of file names tell of precision; what is not listed counts as fp32.
_PRECISIONS = {
    Precision.FP16: ("fp16", "O4"),
    Precision.INT8: ("quantized", "int8", "uint8", "qint8", "quint8", "avx2", "avx512", "vnni", "arm64"),
    Precision.INT4: ("q4", "q4f16", "bnb4", "int4"),
}


@dataclass
class Examined:
    """What was found; `figures` by graph."""

    contents: Contents
    problems: list[Problem] = field(default_factory=list)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)


def examine(folder: Path, wanted: Sequence[str] | None) -> Examined:
    """Open every graph of the folder, run it on awkward strings, and hold it against the folder's own fp32 graph."""
    files = [*sorted((folder / "onnx").glob("*.onnx")), *sorted(folder.glob("*.onnx"))]
    names = {file.relative_to(folder).as_posix(): file for file in files}
    unknown = [name for name in wanted or () if name not in names]
    if unknown:
        raise ConfigError(f"variant {unknown[0]!r}: {folder} holds {', '.join(names) or 'no ONNX graph'}")
    problems = [
        Problem(Stage.MANIFEST, "no mirrorkit.json: nothing here has been verified", severity=Severity.NOTE),
    ]
    layout = _layout(folder, problems)
    pooling = layout.pooling if layout else None
    if not any((folder / name).is_file() for name in ("config.json", "modules.json")) and not names:
        problems.append(Problem(Stage.MANIFEST, "neither a model nor an ONNX graph in this folder"))
        return Examined(Contents(folder, pooling, None, {}, ours=False), problems)
    if not (folder / TOKENIZER).is_file():
        problems.append(Problem(Stage.TOKENIZER, f"no {TOKENIZER}, which every runtime needs to read text"))
    graphs: dict[str, Signature] = {}
    found = Examined(Contents(folder, pooling, layout.max_length if layout else None, graphs, ours=False), problems)
    reference: Floats | None = None
    order = sorted(names, key=lambda name: (name not in ("onnx/model.onnx", "model.onnx"), name))
    for name in order:
        if wanted and name not in wanted:
            continue
        vectors = _examine_graph(found, name, names[name], graphs, reference)
        if reference is None and vectors is not None and precision_of(name) is Precision.FP32:
            reference = vectors
    return found


def precision_of(name: str) -> Precision:
    """Return the precision that a graph's file name tells of."""
    parts = Path(name).stem.split("_")
    return next((p for p, endings in _PRECISIONS.items() if any(e in parts for e in endings)), Precision.FP32)


def _examine_graph(
    found: Examined, name: str, file: Path, graphs: dict[str, Signature], reference: Floats | None
) -> Floats | None:
    folder, problems = found.contents.folder, found.problems
    try:
        opened = open_folder(folder, name, "cpu", verify=False)
        session = OnnxSession(file)
        graphs[name] = signature = session.signature
        if signature.output(POOLED, *HIDDEN) is None:
            outputs = ", ".join(map(str, signature.outputs))
            problems.append(
                Problem(Stage.CONTRACT, "no sentence or token vectors among its outputs", outputs, where=name)
            )
            return None
        ids = opened.tokenizer.ids(awkward_texts(opened.max_length))
        runner: Runner = session
        if signature.output(POOLED) is None:
            how = found.contents.pooling or "mean pooling, because nothing here names one"
            what = f"token vectors alone: pooling is left to the reader ({how})"
            problems.append(Problem(Stage.CONTRACT, what, where=name, severity=Severity.WARNING))
            runner = PooledOutside(session, found.contents.pooling or Pooling.MEAN)
        return _run(found, name, runner, ids, opened, reference)
    except (BundleError, ModelError) as err:
        problems.append(Problem(Stage.GRAPH, str(err), where=name))
        return None


def _run(
    found: Examined, name: str, runner: Runner, ids: RaggedIds, opened: Opened, reference: Floats | None
) -> Floats | None:
    problems = found.problems
    vectors = vectors_of(runner, ids, opened.pad_id)
    if not np.isfinite(vectors).all():
        problems.append(Problem(Stage.NUMBERS, "vectors with NaN or infinity in them", where=name))
        return None
    figures = found.figures.setdefault(name, {})
    figures["invariance"] = invariance(runner, ids, opened.pad_id, opened.max_length)
    limits = THRESHOLDS[precision_of(name)]
    if not figures["invariance"] <= limits.invariance:
        what = "a text's vector changes with what else is in the batch, or with padding"
        allowed = f"at most {limits.invariance:g}"
        problems.append(Problem(Stage.INVARIANCE, what, figures["invariance"], allowed, where=name))
    if changes(runner, ids, opened.pad_id, vectors):
        problems.append(Problem(Stage.DETERMINISM, "vectors change from run to run", where=name))
    off = float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max())
    if off > UNIT_LENGTH:
        what = "vectors are not of unit length"
        problems.append(Problem(Stage.CONTRACT, what, off, UNIT_LENGTH, where=name, severity=Severity.WARNING))
    if reference is not None and reference.shape == vectors.shape:
        measured = parity(vectors, reference)
        figures.update(cosine_min=measured.cosine_min, cosine_mean=measured.cosine_mean, max_abs=measured.max_abs)
        for figure in ("cosine_min", "cosine_mean"):
            limit = limits.limits()[figure]
            if not figures[figure] >= limit:
                what = f"{figure} to the folder's own fp32 graph"
                problems.append(Problem(Stage.NUMBERS, what, figures[figure], f"at least {limit:g}", where=name))
    return vectors


def _layout(folder: Path, problems: list[Problem]) -> ModelLayout | None:
    """Return what the folder says, where it says how to pool; what cannot be honoured becomes a problem."""
    try:
        layout = read_layout(folder, with_graph=True)
    except ModelError as err:
        problems.append(Problem(Stage.CONTRACT, str(err)))
        return None
    return layout if layout.named else None
