"""Stop a training anywhere and go on: the bits of the undisturbed run, nothing left behind, nothing mixed up."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from mirrorkit import FinetuneResult, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.text.stored import StoredTexts
from mirrorkit.training import corpus, memory, order, pairs
from mirrorkit.training.stopping import Stopping
from mirrorkit.training.watch import Watch

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
# Three draws of strings, of which the last is a part of the corpus: 5, 5 and 4 steps.
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 14, "max_length": 24, "device": "cpu", "autocast": "fp32"}
SETTINGS |= {"warmup": 0.3, "decay": True, "dropout": 0.2}
SAVED = "state.safetensors"


class Killed(BaseException):
    """As sudden as a kill, for all that the code between can do about it."""


class Halting:
    """Does something when a step is done."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self.step, self.act = step, act

    def phase(self, name: str) -> None:
        pass

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        if done == self.step and "loss" in figures:
            self.act()


def kill() -> None:
    raise Killed


@pytest.fixture(autouse=True)
def told_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "_EVERY", 0.0)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, which the background jobs of a shell ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def base(tiny_random: Callable[[str], Path]) -> Path:
    return tiny_random("bert")


def run(base: Path, out: Path | None, **more: Any) -> FinetuneResult:
    return finetune(base, SENTENCES, out, **SETTINGS | more)


def same(left: FinetuneResult, right: FinetuneResult) -> bool:
    pairs = zip(left.encoder.parameters(), right.encoder.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("step", [1, 4, 7, 10, 14])
def test_killed_and_resumed_the_weights_are_those_of_the_undisturbed_run(
    base: Path, tmp_path: Path, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed = run(base, None)
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    with pytest.raises(Killed):
        run(base, out, checkpoint_every=3, progress=Halting(step, kill), log_file=log)
    assert not out.exists()
    assert (tmp_path / ".out.training" / SAVED).exists() == (step > 3)  # step 3 itself is told of before it is saved
    torch.rand(7)  # the caller's generator has no say
    resumed = run(base, out, checkpoint_every=3, resume=True, log_file=log)
    assert same(resumed, undisturbed)
    assert (resumed.stats.steps, resumed.stats.pairs) == (undisturbed.stats.steps, undisturbed.stats.pairs)
    assert resumed.stats.loss == undisturbed.stats.loss
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, 15))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "out"]


@pytest.mark.parametrize("views", ["identity", "crop"])
def test_a_large_corpus_on_disk_trains_as_in_memory_and_resumes(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: str
) -> None:
    for module in (order, pairs):
        monkeypatch.setattr(module, "LARGE", 30)
    monkeypatch.setattr(order, "PORTION", 16)  # two steps are drawn at once, and an epoch has five
    settings = {"views": views, "crop": "10,30"}
    undisturbed = run(base, None, **settings)
    assert undisturbed.stats.steps == 14
    out = tmp_path / "out"
    monkeypatch.setattr(corpus, "IN_MEMORY", 100)
    with pytest.raises(Killed):
        run(base, out, checkpoint_every=3, progress=Halting(8, kill), **settings)
    resumed = run(base, out, resume=True, **settings)
    assert isinstance(resumed.corpus.texts, StoredTexts)
    assert same(resumed, undisturbed)


def test_a_batch_that_was_split_is_split_when_resumed(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as short:
        short.setattr(memory, "_free", lambda device: 0)
        undisturbed = run(base, None)
        assert undisturbed.stats.memory.twice
        with pytest.raises(Killed):
            run(base, out, checkpoint_every=3, progress=Halting(7, kill))
    resumed = run(base, out, resume=True)  # there is room now
    assert resumed.stats.memory.twice
    assert same(resumed, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_step_that_is_under_way(
    base: Path, tmp_path: Path, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    from mirrorkit.terminal.signals import StoppedError, stoppable

    undisturbed = run(base, None)
    out = tmp_path / "out"
    with pytest.raises(StoppedError) as stopped, stoppable():
        run(base, out, checkpoint_every=1000, progress=Halting(7, lambda: signal.raise_signal(number)))
    assert stopped.value.exit_code == 128 + number
    assert [record.getMessage() for record in caplog.records] == [
        f"{out}: the training so far is kept; continue with `resume=True`"
    ]
    told: list[int] = []
    progress = Halting(8, lambda: told.append(8))
    resumed = run(base, out, resume=True, progress=progress)
    assert told == [8]
    assert same(resumed, undisturbed)


def test_a_second_signal_does_not_wait() -> None:
    stopping = Stopping()
    with stopping.guarded():
        signal.raise_signal(signal.SIGINT)
        assert stopping
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_checkpoints_a_signal_ends_the_training_at_once(base: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(base, tmp_path / "out", progress=Halting(7, lambda: signal.raise_signal(signal.SIGINT)))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def stopped(base: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    with pytest.raises(Killed):
        run(base, out, checkpoint_every=3, progress=Halting(7, kill))
    return out


def test_a_checkpoint_of_another_training_is_refused_and_kept(base: Path, stopped: Path, tmp_path: Path) -> None:
    kept = (tmp_path / ".out.training" / SAVED).read_bytes()
    for change, what in (
        ({"learning_rate": 1e-3}, "recipe"),
        ({"seed": 7}, "seed"),
        ({"autocast": "bf16"}, "autocast"),
        ({"limit": 30}, "corpus"),
    ):
        with pytest.raises(OutputError, match=f"made with another {what}; start again with `overwrite=True`"):
            run(base, stopped, resume=True, **change)
    with pytest.raises(OutputError, match="continue with `resume=True` or start again with `overwrite=True`"):
        run(base, stopped)
    assert (tmp_path / ".out.training" / SAVED).read_bytes() == kept
    run(base, stopped, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_a_damaged_checkpoint_is_one_error(base: Path, stopped: Path, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / ".out.training" / SAVED
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(OutputError, match="damaged; start again with `overwrite=True`"):
        run(base, stopped, resume=True)
    assert not stopped.exists()


def test_with_nothing_to_resume_it_begins_and_says_so(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="mirrorkit"):
        result = run(base, tmp_path / "out", resume=True)
    assert [r.getMessage() for r in caplog.records] == [
        "there is no checkpoint to resume from; starting at the first step"
    ]
    assert result.stats.steps == 14
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"checkpoint_every": -1, "out": "out"}, "checkpoint_every -1: must be at least 0"),
        ({"checkpoint_every": 5}, "need an `out`"),
        ({"resume": True}, "need an `out`"),
        ({"checkpoint_every": 5, "seeds": 2, "out": "out"}, "`seeds=1`"),
        ({"memory": "much"}, "memory 'much': must be a size"),
        ({"log_file": "no such folder/log"}, "no such folder/log: cannot be written"),
        ({"log_file": "there"}, "there: exists; give another file or `overwrite=True`"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").touch()
    with pytest.raises((ConfigError, OutputError), match=message):
        finetune(base, SENTENCES, **SETTINGS | wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_log_has_a_line_for_each_step(base: Path, tmp_path: Path) -> None:
    result = run(base, None, log_file=tmp_path / "log.jsonl", steps=3)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[-1]["loss"] == pytest.approx(result.stats.loss)
    for line in lines:
        assert set(line) == {"step", "loss", "rate", "alignment", "uniformity", "rank", "gradient_norm"}
        assert 0 < line["alignment"] < 4
        assert -8 < line["uniformity"] < 0
        assert 1 < line["rank"] <= 16  # vectors in the batch
        assert line["gradient_norm"] > 0


def test_the_steps_are_told_where_there_is_no_terminal(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mirrorkit.training.watch"):
        run(base, None, steps=3)
    lines = [r.getMessage() for r in caplog.records if r.name == "mirrorkit.training.watch"]
    assert lines[-1].startswith("step 3 of 3, loss ")
    for what in ("rate ", "pairs/s", "0 s left"):
        assert what in lines[-1]


def test_the_geometry_of_a_batch_by_hand() -> None:
    from mirrorkit.training.watch import geometry

    one, other = torch.eye(4)[0], torch.eye(4)[1]
    found = geometry(torch.stack([one, other, one, other]))
    assert found["alignment"] == 0
    assert found["uniformity"] == pytest.approx(-4)  # one pair, at a squared distance of 2
    assert found["rank"] == pytest.approx(2)
    crossed = geometry(torch.stack([one, other, other, one]))
    assert crossed["alignment"] == pytest.approx(2)
