"""Publish a folder or a file: made in the workshop, flushed to the disk, moved into place in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mirrorkit.errors import OutputError
from mirrorkit.publish.swap import exchange, move_to_free, sync_folder
from mirrorkit.publish.targets import real, told
from mirrorkit.publish.workshop import Workshop, hold, moved, remove


@contextmanager
def publish_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder; it takes the place of `out` when the block ends without an error.

    From the beginning of the block to its end no other process can publish to `out`: it is told who is at it. After
    an error, an interrupt included, `out` is as it was and nothing else is left. A kill can leave the hidden workshop
    behind, which the next run to `out` removes; never a part of `out`.
    """
    with told(out), hold(real(out)) as workshop:
        workshop.new.mkdir()
        yield workshop.new
        _settle(workshop.new)
        _replace_folder(workshop, out, overwrite=overwrite)


@contextmanager
def publish_file(out: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Yield a file open for writing and reading; it takes the place of `out` when the block ends without an error.

    Otherwise as `publish_folder`.
    """
    with told(out), hold(real(out)) as workshop:
        with workshop.new.open("x+b") as file:
            yield file
            _flush(file)
        if overwrite:
            workshop.new.replace(workshop.target)
        else:
            try:
                _move_file_to_free(workshop.new, workshop.target)
            except FileExistsError as err:
                raise OutputError(
                    f"{out}: was written by someone else in the meantime; give another file or `overwrite=True`"
                ) from err
        sync_folder(workshop.target.parent)


@contextmanager
def write_whole(file: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `file`, whole, in a folder that nobody else writes to."""
    hidden = file.with_name(f".{file.name}.partial")
    try:
        with hidden.open("w+b") as out:
            yield out
            _flush(out)
        hidden.replace(file)
        sync_folder(file.parent)
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Give every file the usual permissions, and flush it and the folders.

    Some writers make private files. And without the flush a power cut after the rename could leave a folder that
    looks whole and is full of empty files.
    """
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise OutputError(f"{path.name}: a link cannot be published")
        if path.is_file():
            path.chmod(0o666 & ~_umask())
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)


def _replace_folder(workshop: Workshop, out: Path, *, overwrite: bool) -> None:
    target = workshop.target
    while not moved(workshop.new, target):
        if not overwrite:
            kept = target.with_name(f"{target.name}-{os.getpid()}")
            workshop.new.replace(kept)
            raise OutputError(f"{out}: was filled by someone else in the meantime; this result is in {kept}")
        if _exchanged(workshop):
            break
    sync_folder(target.parent)


def _exchanged(workshop: Workshop) -> bool:
    """Put the new folder into the place of a filled one; returns False if that has gone meanwhile."""
    try:
        if exchange(workshop.new, workshop.target):
            return True
    except FileNotFoundError:
        return False
    return _swapped(workshop)


def _swapped(workshop: Workshop) -> bool:
    """Do it in two steps; whoever finds the journal after a kill between them completes the second one."""
    remove(workshop.old)
    workshop.journal.write_bytes(b"swap\n")
    sync_folder(workshop.folder)
    try:
        workshop.target.rename(workshop.old)
    except FileNotFoundError:
        return False
    try:
        done = moved(workshop.new, workshop.target)
    except OSError:
        with suppress(OSError):
            workshop.old.rename(workshop.target)
        raise
    remove(workshop.journal)
    return done


def _move_file_to_free(source: Path, target: Path) -> None:
    if move_to_free(source, target):
        return
    try:
        os.link(source, target)  # fails, as a rename would not, where there is one
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError(str(target)) from None
        source.rename(target)
