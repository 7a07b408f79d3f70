"""The hidden folder beside a target in which its next content is made, and the lock on it.

`.NAME.mirrorkit` holds `owner`, which is locked for as long as its process lives and says who that is; `new`, what is
being made; and, for a moment on systems that cannot exchange two folders in one step, `old` and `journal`. Whoever gets
the lock knows that the former owner is done or dead, and mends and removes what it left.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mirrorkit.errors import OutputError
from mirrorkit.publish.owner import Owner, read_owner, this_process
from mirrorkit.publish.swap import sync_folder

log = logging.getLogger(__name__)

_OWNER, _NEW, _OLD, _JOURNAL = "owner", "new", "old", "journal"
_RESERVE = 4 << 20  # bytes kept for clearing up, which takes memory when there may be no other left
_LONGEST = 200  # bytes of a name that leave room for what is put around it
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
_FILLED = (errno.ENOTEMPTY, errno.EEXIST)  # what a rename onto a folder with something in it fails with


class Workshop:
    """The workshop of `target`, held by this process."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = workshop_of(target)
        self.new = self.folder / _NEW
        self.old = self.folder / _OLD
        self.journal = self.folder / _JOURNAL

    @property
    def half_swapped(self) -> bool:
        """Whether the target has been moved away and nothing has come into its place."""
        return self.journal.exists() and not os.path.lexists(self.target)

    def mend(self) -> bool:
        """Complete what a killed owner had begun and throw away the rest; returns whether the target was completed."""
        completed = False
        if self.half_swapped:
            # Killed between the two renames of a swap: what is new was whole before the first of them.
            (self.new if self.new.exists() else self.old).rename(self.target)
            sync_folder(self.target.parent)
            completed = True
            log.warning("%s: completed a replacement that an earlier run was killed in the middle of", self.target)
        elif self.new.exists():
            log.info("%s: removed the unfinished output of an earlier run", self.target)
        self.clear()
        return completed

    def clear(self) -> None:
        """Remove all but the lock."""
        for leftover in (self.new, self.old, self.journal):
            remove(leftover)


@contextmanager
def hold(target: Path) -> Iterator[Workshop]:
    """Yield the workshop of `target`, mended and empty; it is gone when the block ends.

    Raises OutputError naming the owner while another process, or another thread, holds it.
    """
    workshop = Workshop(target)
    reserve = bytearray(_RESERVE)  # before there is anything to clear up
    lock = locked(workshop.folder, target)
    try:
        workshop.mend()
        yield workshop
    finally:
        keep = workshop.half_swapped  # where not even the old one could be put back: the next run completes it
        del reserve
        with suppress(OSError):
            if not keep:
                workshop.clear()
        release(workshop.folder, lock, keep=keep)


def repair(target: Path) -> bool:
    """Complete a replacement of `target` that was killed half-way; returns whether there was one to complete.

    For those who find that `target` is missing. Where another process is at it, or nothing may be written, all stays.
    """
    if os.path.lexists(target) or not (workshop_of(target) / _JOURNAL).exists():
        return False
    try:
        with hold(target):
            return target.exists()
    except (OutputError, OSError):
        return False


def workshop_of(target: Path) -> Path:
    return target.with_name(f".{_short(target.name)}.mirrorkit")


def _short(name: str) -> str:
    raw = os.fsencode(name)
    return name if len(raw) <= _LONGEST else hashlib.sha256(raw).hexdigest()


def locked(folder: Path, target: Path) -> int:
    """Make `folder` where it is missing, lock the file `owner` in it, and return the open file.

    Raises OutputError where the lock is taken.
    """
    while True:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        try:
            _check_is_ours(folder, target)
            handle = os.open(folder / _OWNER, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except FileNotFoundError:  # its owner has just finished
            continue
        except OSError:
            with suppress(OSError):
                folder.rmdir()
            raise
        try:
            _lock(handle, folder, target)
        except BaseException:
            os.close(handle)
            raise
        if not _is_at(handle, folder / _OWNER):
            os.close(handle)
            continue
        try:
            record = this_process().text().encode()
            os.pwrite(handle, record, 0)
            os.truncate(handle, len(record))
        except OSError:
            release(folder, handle)
            raise
        return handle


def _check_is_ours(folder: Path, target: Path) -> None:
    """Refuse a folder that somebody else has put there: they could change what is made in it."""
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or (hasattr(os, "geteuid") and about.st_uid != os.geteuid()):
        raise OutputError(f"{target}: {folder} is in the way; remove it")


def release(folder: Path, lock: int, *, keep: bool = False) -> None:
    """Give the lock back, and remove the folder, which nothing else is in any more, unless it is to `keep`."""
    try:
        if not keep:
            (folder / _OWNER).unlink(missing_ok=True)
            with suppress(OSError):  # another process may be in it by now
                folder.rmdir()
    except OSError as err:
        log.warning("%s: cannot be removed (%s)", folder, err.strerror or err)
    finally:
        os.close(lock)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as err:
        log.warning("%s: cannot be removed (%s)", path, err.strerror or err)
        raise


def _lock(handle: int, folder: Path, target: Path) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:
        _check_owner(handle, folder, target)
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise OutputError(f"{target}: is being written by {_owner(handle) or 'another process'}") from err
    except OSError as err:
        if err.errno not in _NO_LOCKS:
            raise
        _check_owner(handle, folder, target)


def _check_owner(handle: int, folder: Path, target: Path) -> None:
    """Go by the record alone where files cannot be locked."""
    owner = _owner(handle)
    if owner is not None and owner.may_live():
        raise OutputError(f"{target}: is being written by {owner}; if that is no longer so, remove {folder}")


def _owner(handle: int) -> Owner | None:
    """Return who holds the lock, waiting a moment for one that has only just got it to say so."""
    for _ in range(20):
        owner = read_owner(os.pread(handle, 4096, 0).decode("utf-8", "replace"))
        if owner is not None:
            return owner
        time.sleep(0.01)
    return None


def _is_at(handle: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def moved(source: Path, target: Path) -> bool:
    """Rename a folder to `target` if that is free or empty, and say whether it was: only the rename itself can tell."""
    try:
        source.replace(target)
    except OSError as err:
        if err.errno in _FILLED:
            return False
        raise
    return True
