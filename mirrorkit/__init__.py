"""Turn a masked language model into a sentence or word encoder, from raw text alone.

The public names load on first use, so importing the package costs nothing and needs none of the extras.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# From release 1.29 on ONNX Runtime, the moment it is imported, writes an identifier of the machine and what program
# runs on it below the user's home, to send it to its makers. Not on our account; who wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Every public name and the module that it lives in, in the order of the job.
_HOME = {
    # Train, and see what it did.
    "finetune": "mirrorkit.training.finetune",
    "FinetuneResult": "mirrorkit.training.result",
    "Recipe": "mirrorkit.training.recipe",
    "SentenceEncoder": "mirrorkit.model.encoder",
    "Backbone": "mirrorkit.model.own_module",
    "ModuleEncoder": "mirrorkit.model.own_module",
    "nt_xent": "mirrorkit.training.loss",
    "Pooling": "mirrorkit.formats.pooling",
    # Score.
    "evaluate": "mirrorkit.evaluation.run",
    "Evaluation": "mirrorkit.evaluation.run",
    "evaluate_sts": "mirrorkit.evaluation.sts",
    "StsReport": "mirrorkit.evaluation.sts",
    "evaluate_retrieval": "mirrorkit.evaluation.beir",
    "evaluate_search": "mirrorkit.evaluation.documents",
    "SearchScore": "mirrorkit.evaluation.search",
    "evaluate_knn": "mirrorkit.evaluation.knn",
    "KnnScore": "mirrorkit.evaluation.knn",
    "MtebEncoder": "mirrorkit.evaluation.mteb",
    # Export, and prove it.
    "export": "mirrorkit.exporter.pipeline",
    "ExportResult": "mirrorkit.exporter.result",
    "Trim": "mirrorkit.exporter.trim.vocabulary",
    "check": "mirrorkit.verification.check",
    "check_vectors": "mirrorkit.verification.against",
    "Agreement": "mirrorkit.verification.against",
    "pack": "mirrorkit.runtime.packing",
    "unpack": "mirrorkit.runtime.packing",
    "PackResult": "mirrorkit.runtime.packing",
    "push": "mirrorkit.exporter.push",
    "PushResult": "mirrorkit.exporter.push",
    "CheckResult": "mirrorkit.verification.check",
    # Measure.
    "run_bench": "mirrorkit.bench.run",
    "BenchResult": "mirrorkit.bench.result",
    "compare": "mirrorkit.bench.judge.compare",
    "Comparison": "mirrorkit.bench.judge.compare",
    # Use.
    "Encoder": "mirrorkit.runtime.encoder",
    "encode_file": "mirrorkit.runtime.files.encode_file",
    "EncodeResult": "mirrorkit.runtime.files.encode_file",
    "TextSearch": "mirrorkit.finding.search",
    "Hit": "mirrorkit.finding.index",
    "adapt": "mirrorkit.adapting.adapt",
    "AdaptResult": "mirrorkit.adapting.adapt",
    "attach": "mirrorkit.exporter.adapter.attach",
    "AttachResult": "mirrorkit.exporter.adapter.result",
    "encode_shards": "mirrorkit.cluster.shards",
    "ShardsResult": "mirrorkit.cluster.result",
    "load_shards": "mirrorkit.cluster.load",
    "LoadResult": "mirrorkit.cluster.load",
    # TensorRT.
    "build_engine": "mirrorkit.exporter.tensorrt.build",
    "rebuild_engine": "mirrorkit.exporter.tensorrt.build",
    "EngineResult": "mirrorkit.exporter.tensorrt.build",
    "Tensorrt": "mirrorkit.runtime.tensorrt.options",
    # What any of them may be given, and raise.
    "Progress": "mirrorkit.progress",
    "MirrorkitError": "mirrorkit.errors",
    "ModelError": "mirrorkit.errors",
    "CorpusError": "mirrorkit.errors",
    "ConfigError": "mirrorkit.errors",
    "OutputError": "mirrorkit.errors",
    "TrainingError": "mirrorkit.errors",
    "MissingExtraError": "mirrorkit.errors",
    "BundleError": "mirrorkit.errors",
    "ExportError": "mirrorkit.errors",
    "NothingPublishedError": "mirrorkit.exporter.result",
    "EngineRefusedError": "mirrorkit.exporter.tensorrt.build",
    "EngineMismatchError": "mirrorkit.formats.engine",
    "WorkerError": "mirrorkit.bench.measure.processes",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  (the names are strings, ruff cannot see through the unpacking)

if TYPE_CHECKING:
    from mirrorkit.adapting.adapt import AdaptResult as AdaptResult
    from mirrorkit.adapting.adapt import adapt as adapt
    from mirrorkit.bench.judge.compare import Comparison as Comparison
    from mirrorkit.bench.judge.compare import compare as compare
    from mirrorkit.bench.measure.processes import WorkerError as WorkerError
    from mirrorkit.bench.result import BenchResult as BenchResult
    from mirrorkit.bench.run import run_bench as run_bench
    from mirrorkit.cluster.load import LoadResult as LoadResult
    from mirrorkit.cluster.load import load_shards as load_shards
    from mirrorkit.cluster.result import ShardsResult as ShardsResult
    from mirrorkit.cluster.shards import encode_shards as encode_shards
    from mirrorkit.errors import BundleError as BundleError
    from mirrorkit.errors import ConfigError as ConfigError
    from mirrorkit.errors import CorpusError as CorpusError
    from mirrorkit.errors import ExportError as ExportError
    from mirrorkit.errors import MirrorkitError as MirrorkitError
    from mirrorkit.errors import MissingExtraError as MissingExtraError
    from mirrorkit.errors import ModelError as ModelError
    from mirrorkit.errors import OutputError as OutputError
    from mirrorkit.errors import TrainingError as TrainingError
    from mirrorkit.evaluation.beir import evaluate_retrieval as evaluate_retrieval
    from mirrorkit.evaluation.documents import evaluate_search as evaluate_search
    from mirrorkit.evaluation.knn import KnnScore as KnnScore
    from mirrorkit.evaluation.knn import evaluate_knn as evaluate_knn
    from mirrorkit.evaluation.mteb import MtebEncoder as MtebEncoder
    from mirrorkit.evaluation.run import Evaluation as Evaluation
    from mirrorkit.evaluation.run import evaluate as evaluate
    from mirrorkit.evaluation.search import SearchScore as SearchScore
    from mirrorkit.evaluation.sts import StsReport as StsReport
    from mirrorkit.evaluation.sts import evaluate_sts as evaluate_sts
    from mirrorkit.exporter.adapter.attach import attach as attach
    from mirrorkit.exporter.adapter.result import AttachResult as AttachResult
    from mirrorkit.exporter.pipeline import export as export
    from mirrorkit.exporter.push import PushResult as PushResult
    from mirrorkit.exporter.push import push as push
    from mirrorkit.exporter.result import ExportResult as ExportResult
    from mirrorkit.exporter.result import NothingPublishedError as NothingPublishedError
    from mirrorkit.exporter.tensorrt.build import EngineRefusedError as EngineRefusedError
    from mirrorkit.exporter.tensorrt.build import EngineResult as EngineResult
    from mirrorkit.exporter.tensorrt.build import build_engine as build_engine
    from mirrorkit.exporter.tensorrt.build import rebuild_engine as rebuild_engine
    from mirrorkit.exporter.trim.vocabulary import Trim as Trim
    from mirrorkit.finding.index import Hit as Hit
    from mirrorkit.finding.search import TextSearch as TextSearch
    from mirrorkit.formats.engine import EngineMismatchError as EngineMismatchError
    from mirrorkit.formats.pooling import Pooling as Pooling
    from mirrorkit.model.encoder import SentenceEncoder as SentenceEncoder
    from mirrorkit.model.own_module import Backbone as Backbone
    from mirrorkit.model.own_module import ModuleEncoder as ModuleEncoder
    from mirrorkit.progress import Progress as Progress
    from mirrorkit.runtime.encoder import Encoder as Encoder
    from mirrorkit.runtime.files.encode_file import EncodeResult as EncodeResult
    from mirrorkit.runtime.files.encode_file import encode_file as encode_file
    from mirrorkit.runtime.packing import PackResult as PackResult
    from mirrorkit.runtime.packing import pack as pack
    from mirrorkit.runtime.packing import unpack as unpack
    from mirrorkit.runtime.tensorrt.options import Tensorrt as Tensorrt
    from mirrorkit.training.finetune import finetune as finetune
    from mirrorkit.training.loss import nt_xent as nt_xent
    from mirrorkit.training.recipe import Recipe as Recipe
    from mirrorkit.training.result import FinetuneResult as FinetuneResult
    from mirrorkit.verification.against import Agreement as Agreement
    from mirrorkit.verification.against import check_vectors as check_vectors
    from mirrorkit.verification.check import CheckResult as CheckResult
    from mirrorkit.verification.check import check as check


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mirrorkit' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
