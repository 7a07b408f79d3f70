"""The figures of each step at a tracker: TensorBoard's own files read back, the others by the calls they get."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, MissingExtraError, OutputError, TrainingError

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:24]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 3, "device": "cpu", "autocast": "fp32"}
FIGURES = {"loss", "rate", "alignment", "uniformity", "rank", "gradient_norm"}


class Library(ModuleType):
    """Stands in for wandb and mlflow: notes every call, and fails at the one it is told to."""

    def __init__(self, name: str, fails_at: str = "") -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.fails_at = fails_at
        names = ("start_run", "log_params", "log_metrics", "end_run", "log", "finish")
        for each in names:
            setattr(self, each, self.noting(each))

    def noting(self, name: str) -> Any:
        def note(*args: Any, **given: Any) -> None:
            self.calls.append((name, args, given))
            if name == self.fails_at:
                raise ConnectionError("nobody answers")

        return note

    def init(self, **given: Any) -> Any:
        self.noting("init")(**given)
        return SimpleNamespace(log=self.log, finish=self.finish)

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, given) for each, args, given in self.calls if each == name]


def standing_in(monkeypatch: pytest.MonkeyPatch, name: str, fails_at: str = "") -> Library:
    library = Library(name, fails_at)
    monkeypatch.setitem(sys.modules, name, library)
    return library


def test_tensorboard_has_the_figures_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="needs the tensorboard extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log.jsonl"
    finetune("tiny", SENTENCES, tmp_path / "out", tracker="tensorboard", log_file=log, **SETTINGS)
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("out-")
    found = EventAccumulator(str(run))
    found.Reload()
    rows = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert set(found.Tags()["scalars"]) == FIGURES
    for name in FIGURES:
        events = found.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3]
        assert [event.value for event in events] == pytest.approx([row[name] for row in rows], rel=1e-6)
    (text,) = found.Tensors("recipe/text_summary")
    assert b"| batch_size | 8 |" in text.tensor_proto.string_val[0]


def test_wandb_gets_a_run_its_figures_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = standing_in(monkeypatch, "wandb")
    result = finetune("tiny", SENTENCES, tmp_path / "out", tracker="wandb", **SETTINGS)
    ((_, began),) = library.named("init")
    assert (began["name"], began["config"]["batch_size"], began["config"]["base"]) == ("out", 8, "tiny")
    logged = library.named("log")
    assert [given["step"] for _, given in logged] == [1, 2, 3]
    assert set(logged[0][0][0]) == FIGURES
    assert logged[-1][0][0]["loss"] == pytest.approx(result.stats.loss)
    assert library.named("finish") == [((), {"exit_code": 0})]


def test_mlflow_is_told_that_a_run_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, log = standing_in(monkeypatch, "mlflow"), tmp_path / "log.jsonl"
    with pytest.raises(TrainingError):
        finetune("tiny", SENTENCES, tracker="mlflow", log_file=log, learning_rate=1e38, **SETTINGS)
    assert json.loads(log.read_text("utf-8").splitlines()[1])["loss"] is None  # no number any more
    assert library.named("start_run") == [((), {"run_name": "mirrorkit"})]
    ((params, _),) = library.named("log_params")
    assert params[0]["learning_rate"] == 1e38
    assert library.named("log_metrics")[0][1] == {"step": 1}
    assert library.named("end_run") == [(("FAILED",), {})]


def test_a_tracker_that_fails_on_the_way_does_not_end_the_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    library = standing_in(monkeypatch, "mlflow", fails_at="log_metrics")
    with caplog.at_level(logging.WARNING, logger="mirrorkit"):
        assert finetune("tiny", SENTENCES, tracker="mlflow", **SETTINGS).stats.steps == 3
    assert caplog.text.count("tracker mlflow: no longer written to (nobody answers)") == 1
    assert len(library.named("log_metrics")) == 1


def test_what_cannot_begin_is_one_line_and_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standing_in(monkeypatch, "wandb", fails_at="init")
    with pytest.raises(OutputError, match=r"tracker wandb: the run cannot begin \(nobody answers\)"):
        finetune("tiny", SENTENCES, tmp_path / "out", tracker="wandb", **SETTINGS)
    with pytest.raises(ConfigError, match="tracker 'neptune': must be one of tensorboard, wandb, mlflow"):
        finetune("tiny", SENTENCES, tmp_path / "out", tracker="neptune", **SETTINGS)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"mlflow is not installed; run: pip install 'mirrorkit\[mlflow\]'"):
        finetune("tiny", SENTENCES, tmp_path / "out", tracker="mlflow", **SETTINGS)
    assert not list(tmp_path.iterdir())
