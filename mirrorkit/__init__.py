"""Turn a masked language model into a sentence or word encoder, from raw text alone.

The public names load on first use, so importing the package costs nothing and needs none of the extras.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Encoder": "mirrorkit.runtime.encoder",
    "export_bundle": "mirrorkit.exporter.pipeline",
    "ExportResult": "mirrorkit.exporter.result",
    "rebuild_engine": "mirrorkit.exporter.tensorrt",
    "check_bundle": "mirrorkit.verification.check",
    "SentenceEncoder": "mirrorkit.model",
    "finetune": "mirrorkit.training.finetune",
    "FinetuneResult": "mirrorkit.training.result",
    "evaluate_sts": "mirrorkit.evaluation.sts",
    "Pooling": "mirrorkit.layout",
    "MirrorkitError": "mirrorkit.errors",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  (the names are strings, ruff cannot see through the unpacking)

if TYPE_CHECKING:
    from mirrorkit.errors import MirrorkitError as MirrorkitError
    from mirrorkit.evaluation.sts import evaluate_sts as evaluate_sts
    from mirrorkit.exporter.pipeline import export_bundle as export_bundle
    from mirrorkit.exporter.result import ExportResult as ExportResult
    from mirrorkit.exporter.tensorrt import rebuild_engine as rebuild_engine
    from mirrorkit.layout import Pooling as Pooling
    from mirrorkit.model import SentenceEncoder as SentenceEncoder
    from mirrorkit.runtime.encoder import Encoder as Encoder
    from mirrorkit.training.finetune import finetune as finetune
    from mirrorkit.training.result import FinetuneResult as FinetuneResult
    from mirrorkit.verification.check import check_bundle as check_bundle


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mirrorkit' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
