"""What `mirrorkit export --tensorrt` adds: engines in folders beside the bundle, planned before the export begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.exporter.tensorrt.build import EngineResult, build_engine, check_folder
from mirrorkit.exporter.tensorrt.graph import SOURCES
from mirrorkit.exporter.tensorrt.library import check_precision, load_library, resolve_target
from mirrorkit.exporter.tensorrt.presets import profiles_for
from mirrorkit.formats.engine import Precision
from mirrorkit.machine.gpu import current_gpu
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress

_ANY_LENGTH = 1 << 30  # tokens; how many the bundle takes is not known yet


@dataclass(frozen=True)
class EnginePlan:
    """Engines to build once the bundle is there."""

    bundle: Path
    precisions: tuple[str, ...]
    profiles: tuple[str, ...] = ()
    target: str | None = None
    backend: str = "auto"
    ids: str = "int64"
    overwrite: bool = False

    def folder(self, precision: str) -> Path:
        """Return where the engine of that precision goes: beside the bundle, named after it."""
        return self.bundle.with_name(f"{self.bundle.name}-tensorrt-{precision}")

    def build(self, progress: Progress | None = None) -> list[EngineResult]:
        """Build all engines, each published on its own; raises as `build_engine` does, at the first that fails."""
        return [
            build_engine(
                self.bundle,
                self.folder(precision),
                precision=precision,
                target=self.target,
                profiles=self.profiles,
                backend=self.backend,
                ids=self.ids,
                overwrite=self.overwrite,
                progress=progress,
            )
            for precision in self.precisions
        ]


def plan_engines(
    bundle: str | Path,
    precisions: Sequence[str],
    *,
    exported: Sequence[str],
    profiles: Sequence[str] = (),
    target: str | None = None,
    backend: str = "auto",
    ids: str = "int64",
    overwrite: bool = False,
) -> EnginePlan:
    """Check, before a long export, all that can be known of the engines to build of it.

    `bundle` is where the bundle will be, `exported` the precisions it will hold. Raises MissingExtraError where the
    library is not installed, other MirrorkitErrors for options that cannot be met.
    """
    unknown = [name for name in precisions if name not in set(SOURCES)]
    if unknown or not precisions:
        raise ConfigError(f"tensorrt {unknown[0] if unknown else ''!r}: must be among {', '.join(SOURCES)}")
    sources = {str(precision): names for precision, names in SOURCES.items()}
    for name in precisions:
        if not set(sources[name]) & set(exported):
            raise ConfigError(f"tensorrt {name}: is made of {' or '.join(sources[name])}; add it to `precision`")
    profiles_for(profiles, _ANY_LENGTH)
    gpu = current_gpu()
    library = load_library(backend, gpu)
    aim = resolve_target(library, target, gpu)
    for name in precisions:
        check_precision(Precision(name), library, aim)
    plan = EnginePlan(
        local_path(bundle), tuple(dict.fromkeys(precisions)), tuple(profiles), target, backend, ids, overwrite
    )
    for name in plan.precisions:
        check_folder(plan.folder(name), overwrite=overwrite)
    return plan
