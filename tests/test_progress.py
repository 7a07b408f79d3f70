"""Phases and counts are told to whoever shows them, and their times to the log."""

from __future__ import annotations

import logging
import time

import pytest

from mirrorkit.progress import Timed, counted
from tests.progress import Told


def test_the_time_of_each_phase_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    timed = Timed(told)
    with caplog.at_level(logging.INFO):
        timed.end()  # none has begun
        timed.phase("reading")
        timed.advance(1, 2)
        timed.phase("saving")
        timed.end()
        timed.end()
    assert told.seen == [(1, 2)]
    names = [record.getMessage().split(":")[0] for record in caplog.records]
    assert names == ["reading", "saving"]
    assert all(" s of them the processor's" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("size", "looks"), [(1, 10), (50, 100), (100, 100)])
def test_the_clock_is_looked_at_by_the_size_of_what_went_by(
    size: int, looks: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(time, "perf_counter", clock)
    told = Told()
    with caplog.at_level(logging.INFO):
        items = list(counted(range(100), told, "rows", lambda _: size, step=10 if size == 1 else 50))
    assert items == list(range(100))
    assert len(told.seen) == looks
    assert told.seen[-1] == (100, None)
    assert len(caplog.records) == looks // 5
    assert caplog.records[-1].getMessage() == "100 rows so far"
