"""The figures of each step to a tracker of experiments, by its own library, which decides where they go."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign, reason

log = logging.getLogger(__name__)

_RUNS = "runs"  # the folder that TensorBoard looks into by default


class _Library(Protocol):
    """What a tracker is asked for: a run with its settings, the figures of a step, the end of the run."""

    def begin(self, run: str, settings: Mapping[str, Any]) -> None: ...
    def log(self, figures: Mapping[str, float], step: int) -> None: ...
    def end(self, *, failed: bool) -> None: ...


class Tracker:
    """One run at one tracker; what goes wrong once it has begun is told once and does not end the training."""

    def __init__(self, name: str, library: _Library, run: str) -> None:
        self._name, self._library, self._run = name, library, run
        self._under_way = False

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Begin the run; raises OutputError where the tracker cannot."""
        with foreign(OutputError, f"tracker {self._name}: the run cannot begin"):
            self._library.begin(self._run, settings)
        self._under_way = True

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Hand the figures of a step on."""
        if self._under_way:
            self._careful(lambda: self._library.log(figures, step))

    def end(self, *, failed: bool) -> None:
        """End the run, if one has begun."""
        if self._under_way:
            self._careful(lambda: self._library.end(failed=failed))

    def _careful(self, act: Any) -> None:
        try:
            act()
        except Exception as err:
            self._under_way = False
            log.warning("tracker %s: no longer written to (%s)", self._name, reason(err))


class _Tensorboard:
    def __init__(self) -> None:
        require("tensorboard", extra="tensorboard")
        self._writer: Any = None

    def begin(self, run: str, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(_RUNS) / f"{run}-{datetime.now():%Y%m%d-%H%M%S}"
        self._writer = SummaryWriter(str(folder))  # type: ignore[no-untyped-call]
        rows = [f"| {name} | {value} |" for name, value in settings.items()]
        self._writer.add_text("recipe", "\n".join(["| | |", "|---|---|", *rows]))
        log.info("figures of each step go to %s", folder)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def end(self, *, failed: bool) -> None:  # noqa: ARG002  (it knows no failure)
        self._writer.close()


class _Wandb:
    def __init__(self) -> None:
        self._wandb: Any = require("wandb", extra="wandb")
        self._run: Any = None

    def begin(self, run: str, settings: Mapping[str, Any]) -> None:
        self._run = self._wandb.init(name=run, config=dict(settings))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log(dict(figures), step=step)

    def end(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class _Mlflow:
    def __init__(self) -> None:
        self._mlflow: Any = require("mlflow", extra="mlflow")

    def begin(self, run: str, settings: Mapping[str, Any]) -> None:
        self._mlflow.start_run(run_name=run)
        self._mlflow.log_params(dict(settings))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(figures), step=step)

    def end(self, *, failed: bool) -> None:
        self._mlflow.end_run("FAILED" if failed else "FINISHED")


_LIBRARIES: Mapping[str, type[_Tensorboard | _Wandb | _Mlflow]] = {
    "tensorboard": _Tensorboard,
    "wandb": _Wandb,
    "mlflow": _Mlflow,
}


def check_tracker(name: str | None) -> None:
    """Raise ConfigError for an unknown tracker."""
    if name is not None and name not in _LIBRARIES:
        raise ConfigError(f"tracker {name!r}: must be one of {', '.join(_LIBRARIES)}")


@contextmanager
def open_tracker(name: str | None, run: str) -> Iterator[Tracker | None]:
    """Yield the tracker of that name for a run; raises MissingExtraError where its library is not installed."""
    if name is None:
        yield None
        return
    tracker = Tracker(name, _LIBRARIES[name](), run)
    try:
        yield tracker
    except BaseException:
        tracker.end(failed=True)
        raise
    tracker.end(failed=False)
