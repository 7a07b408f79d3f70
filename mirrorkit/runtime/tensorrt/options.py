"""How TensorRT is to run a bundle: the options that belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.paths import local_path

Rebuild = Callable[[Path, Path], object]  # folder of the bundle, folder of the engine to replace


@dataclass(frozen=True)
class Tensorrt:
    """An engine that was built before; without one, ONNX Runtime's TensorRT provider builds what it needs.

    Raises ConfigError for options that do not go together. On a machine with the GPU of the engine:
    `Encoder("bundle", tensorrt=Tensorrt("engine", rebuild=rebuild_engine))`.

    >>> from mirrorkit import Tensorrt, rebuild_engine
    >>> Tensorrt("engine", rebuild=rebuild_engine).engine
    'engine'
    """

    engine: str | Path | None = None  # folder that `build_engine` wrote for this bundle
    rebuild: Rebuild | None = None  # called for an engine that does not fit: `rebuild_engine`
    cache: str | Path | None = None  # folder where the provider keeps its engines; None: the user's cache folder

    def __post_init__(self) -> None:
        if self.rebuild is not None and self.engine is None:
            raise ConfigError("`rebuild` needs `engine`")
        if self.cache is not None and self.engine is not None:
            raise ConfigError("`cache` is for ONNX Runtime's provider; a ready-made engine needs none")

    def absolute(self) -> Tensorrt:
        """Return it with paths that stay right when the current folder changes."""
        engine, cache = (path and local_path(path).absolute() for path in (self.engine, self.cache))
        return replace(self, engine=engine, cache=cache)
