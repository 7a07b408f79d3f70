"""The files of a folder that anybody may have made: where their names lead, and what their bytes hash to."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mirrorkit.errors import ModelError
from mirrorkit.formats.packed import content, is_packed, read_packed
from mirrorkit.paths import size_of

_DEEPEST = 4  # folders within folders
_MOST_FILES = 10_000


def is_within(folder: Path, name: str | Path) -> bool:
    """Return whether the path `name`, as a file in `folder` spells it, leads to a place in that folder.

    Links are followed. In the cache of the Hugging Face hub, where every file is a link to one in the folder `blobs`
    of the same model, that counts as well.
    """
    text = str(name)
    if not text or "\0" in text or Path(text).is_absolute() or text.startswith(("/", "\\")):
        return False
    try:
        home, place = folder.resolve(), (folder / text).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name too long
        return False
    return any(place.is_relative_to(allowed) for allowed in (home, *_blobs(home)))


def is_file_within(folder: Path, name: str | Path) -> bool:
    """Return whether `name` leads to a file, and `is_within` the folder, which may be a packed bundle."""
    if not is_within(folder, name):
        return False
    if os.path.isfile(folder / name):  # noqa: PTH113  (a Path raises for a long name)
        return True
    return is_packed(folder) and name in read_packed(folder).members


def leads_elsewhere(folder: Path, name: str) -> bool:
    """Return whether `name` leads to a file outside `folder`: what another machine left there may lead nowhere."""
    try:
        return not is_within(folder, name) and os.path.lexists(folder / name)
    except ValueError:  # a zero byte
        return False


def check_files_within(folder: Path) -> None:
    """Raise ModelError for a folder that `files_within` does not go through."""
    deque(files_within(folder), maxlen=0)


def files_within(folder: Path) -> Iterator[Path]:
    """Yield the files of a model folder, and the links to folders, which are not followed.

    Raises ModelError for a link that leads out of the folder, and for more files than any model has.
    """
    count = 0
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        linked = [name for name in folders if (Path(place) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked] if depth < _DEEPEST else []
        for file in (Path(place) / name for name in sorted([*names, *linked])):
            count += 1
            if count > _MOST_FILES:
                raise ModelError(f"{folder}: holds more than {_MOST_FILES} files, so this is not a model folder")
            if not is_within(folder, file.relative_to(folder)):
                raise ModelError(f"{file}: is a link that leads out of the model's folder; put the file itself there")
            if file.exists() and not file.is_file() and not file.is_dir():  # reading it might never end
                raise ModelError(f"{file}: is not a file")
            yield file


def sha256_of(file: Path) -> str:
    """Return the hex SHA-256 of a file's content; raises OSError where it cannot be read."""
    packed = content(file)
    if packed is not None:
        return hashlib.sha256(packed).hexdigest()
    digest = hashlib.sha256()
    size_of(file)
    room = memoryview(bytearray(1 << 18))  # the same one for every block: new memory costs as much as a third of it all
    with file.open("rb", buffering=0) as handle:
        while count := handle.readinto(room):
            digest.update(room[:count])
    return digest.hexdigest()


def in_hub_cache(folder: Path) -> bool:
    """Return whether `folder` is in the cache of the Hugging Face hub."""
    return bool(_blobs(folder.resolve()))


def _blobs(folder: Path) -> list[Path]:
    """Return the folder of files that a model in the hub's cache links to: models--NAME/snapshots/REVISION/…"""
    cached = (place.parent for place in (folder, *folder.parents) if place.parent.name == "snapshots")
    return [place.parent / "blobs" for place in cached if place.parent.name.startswith("models--")]
