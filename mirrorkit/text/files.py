"""Where the strings of a corpus lie: a file, a folder, a pattern of names, or several of these as if they were one."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.paths import is_there, local_path
from mirrorkit.text.folders import Folder
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading
from mirrorkit.text.units import Record, Unit, as_unit

_NAMED = 3  # files that are named in one line


@dataclass
class Files:
    """Several files and folders; looks like one `TextSource`."""

    parts: list[TextSource | Folder]

    @property
    def name(self) -> str:
        more = f" and {len(self.parts) - _NAMED} more" if len(self.parts) > _NAMED else ""
        return ", ".join(part.name for part in self.parts[:_NAMED]) + more

    @property
    def sha256(self) -> str:
        return hashlib.sha256("".join(part.sha256 for part in self.parts).encode()).hexdigest()

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def bad(self) -> int:
        return sum(part.bad for part in self.parts)

    @property
    def skipped(self) -> list[str]:
        return [name for part in self.parts for name in part.skipped]

    @property
    def layout(self) -> list[str]:
        """Return what was understood: once where all are alike."""
        each = {part.name: ", ".join(part.layout) for part in self.parts}
        alike = set(each.values())
        told = next(iter(alike)) if len(alike) == 1 else "; ".join(f"{name}: {what}" for name, what in each.items())
        return [f"{len(self.parts)} files", told]

    def records(self) -> Iterator[Record]:
        """Yield the strings of one after another. Raises CorpusError for the first that cannot be read."""
        for part in self.parts:
            yield from part.records()


Source = TextSource | Folder | Files


def source_of(paths: Sequence[str | Path], *, reading: Reading, width: int, unit: str | None) -> tuple[Source, Unit]:
    """Return where the strings of these files, folders and patterns come from, and what one of them is.

    `unit` None is document where all are folders and else line. Raises CorpusError for a pattern that nothing fits.
    """
    found = [path for one in paths for path in _expanded(one)]
    folders = [path for path in found if path != "-" and is_there(path) and Path(path).is_dir()]
    piece = as_unit(unit or (Unit.DOCUMENT if len(folders) == len(found) else Unit.LINE))
    if folders and (reading.columns or width > 1):
        raise ConfigError(f"{folders[0]}: a folder of plain text has neither columns nor pairs")
    parts: list[TextSource | Folder] = [
        Folder(path, piece, reading=reading) if path in folders else TextSource(path, reading, width, piece)
        for path in found
    ]
    return (parts[0] if len(parts) == 1 else Files(parts)), piece


def _expanded(path: str | Path) -> list[str]:
    """Return the files that a pattern fits, in order; a path that is none, or is a file all the same, as it is."""
    if path == "-":
        return ["-"]
    local = str(local_path(path))
    if not glob.has_magic(local) or is_there(local):
        return [local]
    found = sorted(name for name in glob.glob(local, recursive=True) if Path(name).is_file())  # noqa: PTH207  (of any folder)
    if not found:
        raise CorpusError(f"{path}: no file has a name like this")
    return found
