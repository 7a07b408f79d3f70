"""Write what was trained, and hold what was written to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mirrorkit.errors import MirrorkitError, TrainingError
from mirrorkit.formats.training_record import write_training
from mirrorkit.training.base import Base
from mirrorkit.training.card import model_card
from mirrorkit.training.result import FinetuneResult

_PROOF = "One text, to hold what is saved to what was trained."
_ALLOWED = 1e-3  # in any component; the one may be on a GPU


def save(result: FinetuneResult, draft: Path, base: Base) -> None:
    """Write the model folder into `draft`; raises TrainingError where it does not hold what was trained."""
    result.encoder.save(draft)
    write_training(draft, result.record())
    (draft / "README.md").write_text(model_card(result), encoding="utf-8")
    _prove(result, draft, base)


def _prove(result: FinetuneResult, draft: Path, base: Base) -> None:
    """Raise TrainingError unless what was saved can be loaded and gives the vectors of what was trained."""
    try:
        saved = base.load_saved(draft, result.recipe, result.encoder.max_length)
    except MirrorkitError as err:
        reason = str(err).removeprefix(f"{draft}: ").replace(f"{draft}/", "").replace(f"{draft}", "it")
        raise TrainingError(f"the trained model cannot be loaded again, so it is not saved: {reason}") from err
    text = [_PROOF]
    off = float(np.abs(saved.encode(text) - result.encoder.encode(text)).max())
    if not off <= _ALLOWED:
        raise TrainingError(f"the saved model gives other vectors than the trained one: off by {off:.2g}")
