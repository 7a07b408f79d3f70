"""Load a model and score it on what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation.geometry import Geometry, measure_geometry
from mirrorkit.evaluation.lexical import evaluate_lexical
from mirrorkit.evaluation.pairs import OnProgress, Score
from mirrorkit.evaluation.sts import StsReport, evaluate_sts, read_tasks
from mirrorkit.paths import local_path


@dataclass(frozen=True)
class Evaluation:
    """What was asked for is there, the rest is None."""

    model: str
    sts: StsReport | None
    lexical: tuple[str, Score] | None  # the file's name and its score
    geometry: Geometry | None

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints: the STS report at the top level, the others under their names."""
        report: dict[str, object] = {"model": self.model}
        if self.sts:
            report |= self.sts.as_dict()
        if self.lexical:
            report["lexical"] = {self.lexical[0]: self.lexical[1].as_dict()}
        if self.geometry:
            report["geometry"] = self.geometry.as_dict()
        return report


def evaluate_model(
    model: str | Path,
    *,
    sts: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    lexical: str | Path | None = None,
    geometry: bool = False,
    pooling: str | None = None,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Score a model folder, shipped name or hub id. The data is read first, so a bad row costs no waiting."""
    if sts is None and lexical is None:
        raise ConfigError("nothing to score on; give --sts FOLDER or --lexical FILE")
    if sts is None and (geometry or tasks):
        raise ConfigError("--tasks and --geometry need --sts FOLDER")
    data = read_tasks(sts, tasks) if sts is not None else []
    if lexical is not None and not local_path(lexical).is_file():
        raise CorpusError(f"{lexical}: no such file of word pairs")

    from mirrorkit.device import pick_device
    from mirrorkit.model import SentenceEncoder

    encoder = SentenceEncoder.load(model, pooling=pooling).to(pick_device(device))
    return Evaluation(
        model=str(model),
        sts=evaluate_sts(encoder, sts, tasks, on_progress) if sts is not None else None,
        lexical=(Path(lexical).stem, evaluate_lexical(encoder, lexical, on_progress)) if lexical is not None else None,
        geometry=measure_geometry(encoder, data, on_progress) if geometry else None,
    )
