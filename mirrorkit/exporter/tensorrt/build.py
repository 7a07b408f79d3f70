"""From a bundle to a TensorRT engine in a folder of its own: graph, proof, build, and on a GPU proof again.

`mirrorkit.exporter.tensorrt.graph` says what is built, `library` by which library. No torch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mirrorkit.errors import BundleError, ConfigError, ExportError, OutputError
from mirrorkit.exporter.tensorrt.graph import SOURCES, choose_variant, source_graph
from mirrorkit.exporter.tensorrt.library import Library, build, check_precision, load_library, resolve_target
from mirrorkit.exporter.tensorrt.presets import profiles_for
from mirrorkit.exporter.tensorrt.proof import prove, reference_of
from mirrorkit.extras import require
from mirrorkit.formats.bundle import Bundle, Variant
from mirrorkit.formats.engine import (
    ENGINE_FILE,
    TIMING_CACHE_FILE,
    Engine,
    Gpu,
    Ids,
    Origin,
    Precision,
    Status,
    identity,
    is_engine,
    mismatches,
    read_engine,
    write_engine,
)
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.profiles import Profile
from mirrorkit.machine.gpu import current_gpu
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress, Silent
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.runtime.hub import open_bundle
from mirrorkit.runtime.session import open_session
from mirrorkit.runtime.tensorrt.session import open_engine
from mirrorkit.verification.problem import Problem
from mirrorkit.verification.proof import Reference, Verification


@dataclass(frozen=True)
class EngineResult:
    """A published engine: `engine` is its manifest, with folder, library, GPU, precision, profiles and status.

    >>> from mirrorkit import build_engine
    >>> result = build_engine("bundle", "engine-of-result", target="portable", profiles=["latency"])
    >>> str(result.engine.precision), result.bytes > 0, str(result.engine.status)
    ('fp16', True, '...')
    """

    engine: Engine
    bytes: int
    seconds: float  # in total
    build_seconds: float  # of that in the library
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        engine = self.engine
        gpu = engine.gpu
        return {
            "engine": str(engine.folder),
            "backend": str(engine.backend),
            "version": engine.version,
            "target": engine.target,
            "gpu": None if gpu is None else {"name": gpu.name, "target": gpu.target, "driver": gpu.driver},
            "precision": str(engine.precision),
            "ids": str(engine.ids),
            "profiles": [str(profile) for profile in engine.profiles],
            "variant": engine.source.variant,
            "bytes": self.bytes,
            "status": str(engine.status),
            "graph_report": dict(engine.graph_report),
            "report": dict(engine.report),
            "seconds": self.seconds,
            "build_seconds": self.build_seconds,
            "notes": list(self.notes),
        }


class EngineRefusedError(ExportError):
    """The graph or the engine did not give the bundle's vectors, so nothing was published; `problems` say which."""

    def __init__(self, message: str, problems: Sequence[Problem]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class _Order:
    """What is to be built, all of it checked."""

    bundle: Bundle
    variant: Variant
    precision: Precision
    ids: Ids
    profiles: tuple[Profile, ...]
    library: Library
    target: str
    gpu: Gpu | None  # here, if there is one


def build_engine(
    bundle: str | Path,
    out: str | Path,
    *,
    precision: str = "fp16",
    target: str | None = None,
    profiles: Sequence[str] = (),
    backend: str = "auto",
    ids: str = "int64",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EngineResult:
    """Build an engine of `bundle` in the folder `out`, which is written whole or not at all.

    `precision` is fp16, fp32, int8 or fp8 (both of the bundle's int8 variant; fp8 is for GPUs of compute capability 8.9
    and later), `ids` the type of the inputs, int32 or int64.
    `target` is portable, an architecture such as sm86, or current; None is what suits the library. `profiles` are
    latency, throughput, mixed (the default), or shapes (texts x tokens) such as min=1x8,opt=32x32,max=256x128.
    `backend` is auto, tensorrt or tensorrt-rtx.

    The graph is proved in ONNX Runtime before it is built. An engine that runs on the GPU here is proved as well, any
    other is published as built but not run. Raises EngineRefusedError for vectors that are not the bundle's,
    MissingExtraError where the library is not installed, other MirrorkitErrors for bad input.

    >>> from mirrorkit import build_engine
    >>> result = build_engine("bundle", "my-engine", target="portable", profiles=["latency"])
    >>> result.engine.folder.name, result.engine.target
    ('my-engine', 'portable')
    """
    start = time.perf_counter()
    progress = progress or Silent()
    source, folder = open_bundle(bundle), local_path(out)
    _check_beside(source, folder)
    check_folder(folder, overwrite=overwrite)
    order = _order(source, precision, target, profiles, backend, ids)
    size = source.files[order.variant.file].bytes + sum(source.files[name].bytes for name in order.variant.data_files)
    check_folder(folder, overwrite=overwrite, needs_bytes=3 * size + (64 << 20))
    known = _timing_cache(folder, order)
    progress.phase("computing the reference")
    reference = reference_of(source)
    with publish_folder(folder, overwrite=overwrite) as draft:
        engine, build_seconds = _build(order, reference, draft, known, progress)
        engine, notes = _verify(order, reference, engine, progress)
        write_engine(engine)
        size = engine.path.stat().st_size
    seconds = time.perf_counter() - start
    return EngineResult(replace(engine, folder=folder), size, seconds, build_seconds, notes)


def rebuild_engine(bundle: str | Path, folder: str | Path) -> EngineResult:
    """Rebuild the engine in `folder` as its manifest says, for the library and the GPU of this machine.

    Raises what `build_engine` does, and BundleError for a folder that holds no engine; the old one stays then.

    >>> from mirrorkit import build_engine, rebuild_engine
    >>> old = build_engine("bundle", "old-engine", target="portable", profiles=["latency"])
    >>> rebuild_engine("bundle", "old-engine").engine.profiles == old.engine.profiles
    True
    """
    folder = local_path(folder)
    old = read_engine(folder)
    target = old.target if old.target == "portable" else None
    return build_engine(
        bundle,
        folder,
        precision=str(old.precision),
        target=target or ("current" if current_gpu() is not None else old.target),
        profiles=[str(profile) for profile in old.profiles],
        ids=str(old.ids),
        overwrite=True,
    )


def _order(
    bundle: Bundle, precision: str, target: str | None, profiles: Sequence[str], backend: str, ids: str
) -> _Order:
    if precision not in set(SOURCES):
        raise ConfigError(f"precision {precision!r}: a TensorRT engine must be {' or '.join(SOURCES)}")
    if ids not in set(Ids):
        raise ConfigError(f"ids {ids!r}: must be {' or '.join(Ids)}")
    wanted = Precision(precision)
    variant = choose_variant(bundle, wanted)
    shapes = profiles_for(profiles, bundle.max_length)
    gpu = current_gpu()
    library = load_library(backend, gpu)
    aim = resolve_target(library, target, gpu)
    check_precision(wanted, library, aim)
    order = _Order(bundle, variant, wanted, Ids(ids), shapes, library, aim, gpu)
    if gpu is not None:
        require("cuda.bindings.driver", extra=str(library.backend))  # to prove it; missed now, not after the build
    return order


def _check_beside(bundle: Bundle, folder: Path) -> None:
    if folder.resolve().is_relative_to(bundle.folder.resolve()):
        raise OutputError(
            f"{folder}: is inside the bundle; write engines beside it, for example {bundle.folder.name}-tensorrt-fp16"
        )


def check_folder(folder: Path, *, overwrite: bool, needs_bytes: int = 0) -> None:
    """Raise OutputError now for what would prevent publishing an engine there later."""
    if folder.is_dir() and overwrite and any(folder.iterdir()) and not is_engine(folder):
        raise OutputError(f"{folder}: is not empty and holds no engine, so it is not overwritten")
    check_target(folder, overwrite=overwrite, needs_bytes=needs_bytes)


def _timing_cache(folder: Path, order: _Order) -> bytes:
    """Return the timings of the engine to be replaced, where the same library made it on the same kind of GPU."""
    try:
        old = read_engine(folder)
        if old.timing_cache is None or mismatches(
            old, backend=order.library.backend, version=order.library.version, gpu=order.gpu
        ):
            return b""
        return (folder / TIMING_CACHE_FILE).read_bytes()
    except (BundleError, OSError):  # timing again costs nothing but time
        return b""


def _build(order: _Order, reference: Reference, draft: Path, known: bytes, progress: Progress) -> tuple[Engine, float]:
    bundle, library = order.bundle, order.library
    with tempfile.TemporaryDirectory(dir=draft, prefix=".graph-") as work:
        progress.phase(f"making the {order.precision} graph")
        graph = source_graph(bundle, order.precision, order.ids, Path(work))
        progress.phase("proving the graph")
        session = open_session(graph.file, float8=order.precision is Precision.FP8)
        proof = prove(session, bundle, reference, order.precision, own_limits=_limits(order))
        _demand(proof, "the graph, run by ONNX Runtime,")
        progress.phase(f"building with {library}")
        built = build(
            library,
            graph.file,
            order.profiles,
            order.target,
            precision=order.precision,
            gpu=order.gpu,
            timing_cache=known,
        )
    (draft / ENGINE_FILE).write_bytes(built.engine)
    if built.timing_cache is not None:
        (draft / TIMING_CACHE_FILE).write_bytes(built.timing_cache)
    engine = Engine(
        folder=draft,
        backend=library.backend,
        version=library.version,
        target=order.target,
        gpu=order.gpu,
        precision=order.precision,
        ids=order.ids,
        profiles=order.profiles,
        dim=bundle.dim,
        max_length=bundle.max_length,
        source=Origin(bundle.folder.name, identity(bundle), graph.variant, graph.files, graph.sha256),
        file=ENGINE_FILE,
        sha256=sha256_of(draft / ENGINE_FILE),
        timing_cache=TIMING_CACHE_FILE if built.timing_cache is not None else None,
        options=built.options,
        status=Status.BUILT,
        graph_report=proof.report(),
    )
    return engine, built.seconds


def _verify(order: _Order, reference: Reference, engine: Engine, progress: Progress) -> tuple[Engine, tuple[str, ...]]:
    """Run the engine on the GPU here, if it is for that; return it with what was measured, or with why it was not."""
    if order.gpu is None:
        return engine, ("built, not run: there is no GPU here",)
    unfit = mismatches(engine, gpu=order.gpu)
    if unfit:
        return engine, (f"built, not run: it {unfit[0]}",)
    progress.phase(f"proving the engine on {order.gpu.name}")
    write_engine(engine)
    session = open_engine(engine.folder, order.bundle)
    longest = min(session.longest, order.bundle.max_length)
    limits = _limits(order)
    proof = prove(session, order.bundle, reference, order.precision, longest=longest, own_limits=limits, on_gpu=True)
    _demand(proof, f"the engine, run on {order.gpu.name},")
    return replace(engine, status=Status.VERIFIED, report=proof.report()), _left_out(reference, longest)


def _left_out(reference: Reference, longest: int) -> tuple[str, ...]:
    count = int((reference.ids.lengths > longest).sum())
    return (f"{count} texts of more than {longest} tokens were left out: no profile takes them",) if count else ()


def _limits(order: _Order) -> dict[str, float]:
    """Return the limits of the user's own that the variant was published with."""
    report = order.variant.report
    same = order.variant.name == order.precision
    names = report.get("overridden", ()) if same else ()
    return {name: report["allowed"][name] for name in names}


def _demand(proof: Verification, what: str) -> None:
    if not proof.passed:
        raise EngineRefusedError(
            f"nothing was published: {what} does not pass: {proof.problems[0].line()}", proof.problems
        )
