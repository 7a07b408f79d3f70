"""Publish folders all or nothing, and refuse early what would fail late."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirrorkit.errors import OutputError
from mirrorkit.publish import check_target, publish_folder
from tests.publish.folders import NEW, failing, model_at, publish, record, tree

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("exists", [False, True])
def test_new_and_empty_folders_are_filled(tmp_path: Path, exists: bool) -> None:
    out = tmp_path / "model"
    if exists:
        out.mkdir()
    check_target(out, overwrite=False)
    publish(out)
    assert tree(tmp_path) == {f"model/{name}": text for name, text in NEW.items()}


def test_parents_are_made(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "model"
    check_target(out, overwrite=False)
    publish(out)
    assert tree(out) == NEW


def test_relative_paths_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_target(Path("model"), overwrite=False)
    publish(Path("model"))
    assert tree(tmp_path / "model") == NEW


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_target(tmp_path / "model", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_replaced_whole_and_only_when_asked(tmp_path: Path) -> None:
    out = model_at(tmp_path / "model")
    (out / "stale").write_text("old", encoding="utf-8")
    with pytest.raises(OutputError, match="not empty; give another folder or `overwrite=True`"):
        check_target(out, overwrite=False)
    check_target(out, overwrite=True)
    publish(out, overwrite=True)
    assert tree(tmp_path) == {f"model/{name}": text for name, text in NEW.items()}


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "home"
    out.mkdir()
    (out / "thesis.txt").write_text("ten years", encoding="utf-8")
    with pytest.raises(OutputError, match="was not written by mirrorkit"):
        check_target(out, overwrite=True)
    assert tree(tmp_path) == {"home/thesis.txt": "ten years"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_and_links_are_refused(tmp_path: Path, overwrite: bool) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    links = {"to_file": file, "to_empty": empty, "to_model": model_at(tmp_path / "model"), "dangling": tmp_path / "no"}
    for name, goal in links.items():
        (tmp_path / name).symlink_to(goal)
        with pytest.raises(OutputError, match="symbolic link"):
            check_target(tmp_path / name, overwrite=overwrite)
    with pytest.raises(OutputError, match="not a folder"):
        check_target(file, overwrite=overwrite)
    assert tree(tmp_path)["file"] == "mine"


def test_places_that_a_rename_cannot_replace_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="current folder"):
        check_target(Path(), overwrite=False)
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "volume")
    with pytest.raises(OutputError, match="mount point"):
        check_target(tmp_path / "volume", overwrite=False)


def unwritable() -> list[Path]:
    """Return targets that no user can write, root included."""
    places = [Path(__file__) / "model", Path(__file__).parent / ("n" * 300)]
    if Path("/proc/self").is_dir():
        places += [Path("/proc/model"), Path("/proc/a/model")]
    return places


@pytest.mark.parametrize("out", unwritable(), ids=lambda out: str(out)[-20:])
def test_unwritable_places_are_refused_before_and_after_the_work(out: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        check_target(out, overwrite=False)
    with pytest.raises(OutputError, match="cannot be written"):
        publish(out)


def test_a_small_disk_is_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(9e9, 9e9 - 5e6, 5e6))
    check_target(tmp_path / "model", overwrite=False, needs_bytes=5_000_000)
    with pytest.raises(OutputError, match="needs about 6 MB, the disk has 5 MB free"):
        check_target(tmp_path / "model", overwrite=False, needs_bytes=6_000_000)


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("exists", [False, True])
def test_an_exception_leaves_the_target_as_it_was(tmp_path: Path, error: BaseException, exists: bool) -> None:
    out = tmp_path / "model"
    if exists:
        model_at(out)
    before = tree(tmp_path)
    with pytest.raises(type(error)):
        publish(out, overwrite=True, then=failing(error))
    assert tree(tmp_path) == before
    assert out.exists() == exists
    assert not list(tmp_path.glob(".*"))


def test_a_write_error_names_the_target_and_not_the_draft(tmp_path: Path) -> None:
    out = tmp_path / "model"
    error = OSError(28, "No space left on device", str(tmp_path / ".model.mirrorkit" / "weights"))
    with pytest.raises(OutputError, match="No space left") as caught:
        publish(out, then=failing(error))
    assert str(out) in str(caught.value)
    assert ".mirrorkit" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_target_filled_meanwhile_is_kept_and_so_is_the_result(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(OutputError, match="filled by someone else") as caught:
        publish(out, then=lambda: model_at(out, "theirs"))
    kept = tmp_path / f"model-{os.getpid()}"
    assert str(kept) in str(caught.value)
    assert tree(out) == {"training.json": record("theirs")}
    assert tree(kept) == NEW
    assert {p.name for p in tmp_path.iterdir()} == {"model", kept.name}


def test_links_on_the_way_are_followed_once_and_those_of_others_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    out = tmp_path / "link" / "model"
    check_target(out, overwrite=False)
    publish(out)
    assert tree(tmp_path / "disk" / "model") == NEW
    os.chown(tmp_path / "link", 12345, -1, follow_symlinks=False) if os.geteuid() == 0 else pytest.skip("not root")
    with pytest.raises(OutputError, match="a link that belongs to someone else"):
        check_target(out, overwrite=True)


def test_long_names_can_be_published(tmp_path: Path) -> None:
    publish(tmp_path / ("n" * 250))
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 250]


def test_a_link_is_nothing_to_publish(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(OutputError, match="link"), publish_folder(out, overwrite=False) as draft:
        (draft / "weights").symlink_to("/etc/passwd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "modules.json", "mirrorkit.json", "manifest.json", "triton.json"])
@pytest.mark.parametrize("text", ["{}", "[1]", "no JSON", '{"model_type": "bert"}'])
def test_a_folder_is_ours_by_what_is_in_the_file_and_not_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / name).write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match="was not written by mirrorkit"):
        check_target(out, overwrite=True)
    assert tree(out) == {name: text}


def test_the_manifest_of_somebody_elses_web_page_is_no_reason_to_replace_it(tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match="not overwritten"):
        check_target(out, overwrite=True)
    assert tree(out) == {"manifest.json": "{}"}


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with publish_folder(tmp_path / "model", overwrite=False) as draft:
            (draft / "private").touch(mode=0o600)
    finally:
        os.umask(old)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "model", tmp_path / "model" / "private")}
    assert modes == {"model": 0o750, "private": 0o640}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(small_disk: Path) -> None:
    out = small_disk / "model"
    check_target(out, overwrite=False)
    with pytest.raises(OutputError, match="No space left on device"), publish_folder(out, overwrite=False) as draft:
        (draft / "weights").write_bytes(bytes(4 << 20))
    assert list(small_disk.iterdir()) == []
    with pytest.raises(OutputError, match="MB free"):
        check_target(out, overwrite=False, needs_bytes=4 << 20)
