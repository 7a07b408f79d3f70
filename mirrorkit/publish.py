"""Write a folder all or nothing: into a hidden sibling first, renamed into place when it is whole."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mirrorkit.errors import OutputError

# One of these tells a folder worth replacing.
_OURS = ("config.json", "modules.json", "mirrorkit.json", "demo.json", "triton.json", "model.engine")
_FILLED = (errno.ENOTEMPTY, errno.EEXIST)  # what a rename onto a folder with something in it fails with


def check_target(out: Path, *, overwrite: bool, needs_bytes: int = 0) -> None:
    """Raise OutputError now for what would make publishing `out` fail after all the work is done.

    `needs_bytes` is about how much will be written. An existing folder is replaced only with `overwrite`, and only
    when it holds something of ours: a slip of the keyboard must not cost somebody's home folder.
    """
    try:
        _check_place(out, overwrite=overwrite)
        parent = out.absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(_sibling(out))
        free = shutil.disk_usage(parent).free
    except OSError as err:
        raise OutputError(f"{out}: cannot be written ({err.strerror or err})") from err
    if free < needs_bytes:
        raise OutputError(f"{out}: needs about {needs_bytes / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free")


def _check_place(out: Path, *, overwrite: bool) -> None:
    if out.is_symlink():
        raise OutputError(f"{out}: is a symbolic link; give the folder itself")
    if os.path.ismount(out) or out.absolute() == Path.cwd():  # neither can be replaced by renaming another folder
        raise OutputError(f"{out}: is a mount point or the current folder; give a new folder inside it")
    if out.is_dir():
        occupied = any(out.iterdir())
        if occupied and not overwrite:
            raise OutputError(f"{out}: exists and is not empty; give another folder or --overwrite")
        if occupied and not any((out / name).is_file() for name in _OURS):
            raise OutputError(f"{out}: holds something that is neither a model nor a demo, so it is not overwritten")
    elif out.exists():
        raise OutputError(f"{out}: exists and is not a folder")


@contextmanager
def publish_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder beside `out`; rename it to `out` when the block ends without an error.

    After an error, Ctrl-C included, the temporary folder is gone and `out` is as it was. A kill can leave the hidden
    temporary folder behind, never a part of `out`.
    """
    try:
        draft = _sibling(out)
    except OSError as err:
        raise OutputError(f"{out}: cannot be written ({err.strerror or err})") from err
    try:
        yield draft
        _settle(draft)
        _replace(draft, out, overwrite=overwrite)
    except OSError as err:
        raise OutputError(f"{out}: cannot be written ({err.strerror or err})") from err
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sibling(out: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.absolute().parent))
    folder.chmod(0o777 & ~_umask())  # mkdtemp makes it private; a model folder is like any other
    return folder


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _settle(folder: Path) -> None:
    """Give every file the usual permissions and flush it.

    Some writers make private files. And without the flush a power cut after the rename could leave a folder that
    looks whole and is full of empty files.
    """
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o666 & ~_umask())
            with file.open("rb") as handle:
                os.fsync(handle.fileno())


def _replace(draft: Path, out: Path, *, overwrite: bool) -> None:
    if _moved(draft, out):
        return
    if not overwrite:
        kept = out.with_name(f"{out.name}-{os.getpid()}")
        draft.replace(kept)
        raise OutputError(f"{out}: was filled by someone else meanwhile; this result is in {kept}")
    while draft.exists():  # again when another process that overwrites too was faster
        _swap(draft, out)


def _moved(draft: Path, out: Path) -> bool:
    """Rename `draft` to `out` if that is free or empty, and say whether it was: only the rename itself can tell."""
    try:
        draft.replace(out)
    except OSError as err:
        if err.errno in _FILLED:
            return False
        raise
    return True


def _swap(draft: Path, out: Path) -> None:
    """Put `draft` in the place of a filled folder; leaves `draft` where it is if `out` was filled again meanwhile."""
    old = _sibling(out)
    with suppress(FileNotFoundError):  # another process has just moved it away
        out.replace(old)  # over the empty folder just made
    try:
        _moved(draft, out)
    except OSError:
        with suppress(OSError):
            old.replace(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
