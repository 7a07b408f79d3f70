"""Replace what stands there in one step, after a failure, after a kill, and with others at the same place."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mirrorkit.errors import BundleError, OutputError
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.formats.engine import read_engine
from mirrorkit.publish import check_file_target, check_target, publish_file, publish_folder, publishing, repair
from mirrorkit.publish.owner import this_process
from tests.publish.folders import NEW, model_at, publish, record, tree


@pytest.fixture(params=["one step", "two steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Swap folders as this system can, or as one does that cannot exchange two names."""
    if request.param == "two steps":
        monkeypatch.setattr(publishing, "exchange", lambda one, other: False)
        monkeypatch.setattr(publishing, "move_to_free", lambda source, target: False)
    return str(request.param)


@pytest.mark.usefixtures("steps")
def test_a_filled_folder_and_a_file_are_replaced(tmp_path: Path) -> None:
    out = model_at(tmp_path / "model")
    publish(out, overwrite=True)
    assert tree(tmp_path) == {f"model/{name}": text for name, text in NEW.items()}
    file = tmp_path / "file"
    for text in (b"one", b"two"):
        with publish_file(file, overwrite=text == b"two") as written:
            written.write(text)
        assert file.read_bytes() == text
    with pytest.raises(OutputError, match="written by someone else"), publish_file(file, overwrite=False):
        pass
    assert file.read_bytes() == b"two"
    assert {path.name for path in tmp_path.iterdir()} == {"model", "file"}


def failing_rename(monkeypatch: pytest.MonkeyPatch, times: int, error: BaseException) -> None:
    """Let the first renames to the target of what is new or old fail."""
    real, left = Path.rename, [times]

    def fail(self: Path, target: Path) -> Path:
        if target.name == "model" and left[0]:
            left[0] -= 1
            raise error
        return real(self, target)

    def replace(self: Path, target: Path) -> Path:
        if (self / "deep").is_dir() and not (target.exists() and any(target.iterdir())):
            return fail(self, target)
        return Path(shutil.move(self, target)) if not target.exists() else real_replace(self, target)

    real_replace = Path.replace
    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(publishing, "exchange", lambda one, other: False)


def test_a_failed_swap_puts_the_old_model_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = model_at(tmp_path / "model")
    failing_rename(monkeypatch, 1, PermissionError(13, "Permission denied"))
    with pytest.raises(OutputError, match="Permission denied"):
        publish(out, overwrite=True)
    assert tree(tmp_path) == {"model/training.json": record("old")}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("how", ["checked", "published", "read", "read as a bundle", "read as an engine"])
def test_a_swap_that_was_killed_half_way_is_completed_by_the_next_run_which_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    out = model_at(tmp_path / "model")
    with monkeypatch.context() as patch:
        failing_rename(patch, 2, PermissionError(13, "Permission denied"))  # the old one cannot be put back either
        with pytest.raises(OutputError, match="Permission denied"):
            publish(out, overwrite=True)
    assert not out.exists()
    if how == "checked":
        with pytest.raises(OutputError, match="not empty"):
            check_target(out, overwrite=False)
    elif how == "published":
        with pytest.raises(OutputError, match="filled by someone else"):
            publish(out)
        shutil.rmtree(tmp_path / f"model-{os.getpid()}")
    else:
        if how == "read":
            assert repair(out)
        else:
            with pytest.raises(BundleError, match="json in it, so this is not"):
                (read_bundle if how == "read as a bundle" else read_engine)(out)
        assert not repair(out)
    assert tree(tmp_path) == {f"model/{name}": text for name, text in NEW.items()}
    assert not list(tmp_path.glob(".*"))
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        f"{out}: completed a replacement that an earlier run was killed in the middle of"
    ]


def test_of_many_at_once_each_wins_or_is_told_who_holds_the_target(tmp_path: Path) -> None:
    out = tmp_path / "model"
    told = []
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(publish, out, overwrite=True) for _ in range(200)]:
            error = done.exception()
            if error is not None:
                assert isinstance(error, OutputError)
                told.append(str(error))
    assert len(told) < 200
    assert all(f"is being written by process {os.getpid()} on " in text for text in told), told
    assert tree(out) == NEW
    assert list(tmp_path.iterdir()) == [out]


def test_who_holds_a_target_is_told_before_and_after_the_work(tmp_path: Path) -> None:
    with publish_folder(tmp_path / "model", overwrite=False):
        for other in (check_target, publish):
            with pytest.raises(OutputError, match=f"is being written by process {os.getpid()} on .* since 20"):
                other(tmp_path / "model", overwrite=True)
    with publish_file(tmp_path / "file", overwrite=False), pytest.raises(OutputError, match="is being written by"):
        check_file_target(tmp_path / "file", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"model", "file"}


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "model"
    code = f"""
import os
from pathlib import Path
from mirrorkit.publish import publish_folder
with publish_folder(Path({str(out)!r}), overwrite=False) as draft:
    (draft / "weights").write_text("half")
    os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert {path.name for path in tmp_path.iterdir()} == {".model.mirrorkit"}
    check_target(out, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_locked_the_record_of_the_owner_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refuse)
    out = tmp_path / "model"
    with publish_folder(out, overwrite=False), pytest.raises(OutputError, match="being written by process"):
        check_target(out, overwrite=False)
    me = this_process()
    gone = replace(me, pid=2**22 + 1)
    reused = replace(me, ticks=me.ticks - 1)
    elsewhere = replace(gone, host="elsewhere")
    workshop = tmp_path / ".model.mirrorkit"
    for owner, lives in ((gone, False), (reused, False), (elsewhere, True), (None, False)):
        workshop.mkdir(exist_ok=True)
        (workshop / "owner").write_text(owner.text() if owner else "half a rec", encoding="utf-8")
        if lives:
            with pytest.raises(OutputError, match=r"on elsewhere .* remove .*\.model\.mirrorkit"):
                check_target(out, overwrite=True)
            shutil.rmtree(workshop)
        else:
            check_target(out, overwrite=False)
            assert not workshop.exists()


def test_a_workshop_that_is_none_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".model.mirrorkit").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is in the way"):
        check_target(tmp_path / "model", overwrite=False)
