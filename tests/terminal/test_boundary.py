"""However a command ends, it is one line and a telling exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer

from mirrorkit.errors import ConfigError
from mirrorkit.foreign import foreign
from mirrorkit.terminal.boundary import boundary
from mirrorkit.terminal.signals import StoppedError, stoppable

COMMAND = [sys.executable, "-m", "mirrorkit"]
NO_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("lr 5:\n must be\n smaller"), 2, "mirrorkit: lr 5: must be smaller"),
        (KeyboardInterrupt(), 130, "interrupted, nothing was written"),
        (StoppedError(signal.SIGTERM), 143, "stopped by SIGTERM, nothing was written"),
        (MemoryError(), 2, "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 2, "out of memory"),
        (RecursionError(), 2, "nested too deeply"),
        (OSError(28, "No space left on device"), 2, "standard output cannot be written"),
        (KeyError("x"), 70, "this is a bug in mirrorkit, please report it"),
        (ConfigError("x" * 100_000), 2, "…"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_is_one_line(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    with pytest.raises(SystemExit) as ended, boundary():
        raise error
    said = capsys.readouterr().err
    assert ended.value.code == code
    assert said.count("\n") == 1
    assert words in said
    assert len(said) < 3000


def test_a_broken_pipe_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, boundary():
        raise BrokenPipeError(32, "Broken pipe")
    assert (ended.value.code, capsys.readouterr().err) == (141, "")


def test_what_leaves_a_command_on_purpose_passes() -> None:
    with pytest.raises(typer.Exit), boundary():
        raise typer.Exit(1)
    with boundary():
        pass


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_become_one_exception_and_handlers_come_back(name: str) -> None:
    number = getattr(signal, name, None) or pytest.skip(f"no {name} here")
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(StoppedError) as caught, stoppable():
            signal.raise_signal(number)
        assert caught.value.exit_code == 128 + number
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_are_left_alone() -> None:
    thread = threading.Thread(target=lambda: stoppable().__enter__())
    thread.start()
    thread.join()


class PanicException(BaseException):
    """What a panic of Rust code comes as."""


def test_what_a_library_throws_is_an_error_of_ours_and_what_asks_to_end_is_not() -> None:
    for thrown in (PanicException("index out of bounds\nmore"), Exception(), MemoryError()):
        told = r"^a file \((index out of bounds|Exception|out of memory)\)$"
        with pytest.raises(ConfigError, match=told), foreign(ConfigError, "a file"):
            raise thrown
    for passed in (KeyboardInterrupt, SystemExit, ConfigError):
        with pytest.raises(passed), foreign(ConfigError, "a file"):
            raise passed


def run(command: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", command, "sh", *COMMAND], capture_output=True, check=False, env={**os.environ, **env}
    )
    return done.returncode, done.stderr.decode("utf-8", "replace")


@NO_FULL
def test_a_standard_output_that_takes_nothing_is_one_line() -> None:
    for command in ('"$@" recipes', '"$@" recipes --json', '"$@" --help', '"$@" check --help', '"$@" --version'):
        code, said = run(f"{command} >/dev/full")
        assert (code, said.count("\n")) == (2, 1), said
        assert "standard output cannot be written (No space left on device)" in said


def test_a_closed_standard_output_is_one_line_as_the_result_is_lost() -> None:
    for command in ("recipes", "recipes --json", "--help", "--version"):
        code, said = run(f'"$@" {command} >&-')
        assert (code, said.count("\n")) == (2, 1), said
        assert said.startswith("mirrorkit: standard output cannot be written (it is closed)")


def test_a_reader_that_has_gone_is_told_alike_by_whatever_prints() -> None:
    for command in ("recipes", "recipes --json", "--help", "--version"):
        assert run(f'("$@" {command}; echo $? >&2) | sleep 0') == (0, "141\n")


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", pytest.param("2>/dev/full", marks=NO_FULL)])
def test_messages_that_nobody_takes_change_no_exit_code(closed: str) -> None:
    for command, code in (("recipes", 0), ("compare nosuch nosuch", 2), ("nonsense", 2)):
        done = run(f'"$@" {command} {closed} >/dev/null', PYTHONUNBUFFERED="")
        assert done == (code, ""), command
    assert run('"$@" recipes <&- >&- 2>&-') == (2, "")


def test_closed_standard_input_is_one_line(tmp_path: Path) -> None:
    code, said = run(f'"$@" finetune tiny - -o {tmp_path}/out <&-')
    assert (code, said.count("\n")) == (2, 1), said


def test_an_output_that_knows_only_ascii_gets_what_it_can_spell(tmp_path: Path) -> None:
    code, said = run(f'"$@" encode "{tmp_path}/é" x.txt -o {tmp_path}/x.npy', PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (code, said.count("\n")) == (2, 1), said
    assert "\\xe9" in said


def test_a_name_that_is_no_text_is_told_all_the_same(tmp_path: Path) -> None:
    code, said = run(f'"$@" encode "$(printf "{tmp_path}/\\377")" x.txt -o {tmp_path}/x.npy')
    assert (code, said.count("\n")) == (2, 1), said
