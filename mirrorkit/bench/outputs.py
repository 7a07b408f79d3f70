"""The files that a run writes: checked before the work, each written all or nothing after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mirrorkit.errors import OutputError
from mirrorkit.paths import local_path
from mirrorkit.publish import check_file_target, publish_file


def check_outputs(files: Sequence[Path | None], bundle: str | Path) -> None:
    """Raise OutputError now for a file that could not be written after all the measuring; an earlier file is replaced.

    A file inside the bundle would be one that the bundle does not know of.
    """
    asked = [local_path(file) for file in files if file is not None]
    home = local_path(bundle).resolve()
    for number, file in enumerate(asked):
        if file.resolve().is_relative_to(home):
            raise OutputError(f"{file}: is inside the bundle; give a file elsewhere")
        if any(file.resolve() == other.resolve() for other in asked[:number]):
            raise OutputError(f"{file}: is asked for twice; give each report a file of its own")
        check_file_target(file, overwrite=True)


def write_outputs(contents: Mapping[Path, str]) -> None:
    """Write each text to its file, under the file's name only once it is whole. Raises OutputError."""
    for file, text in contents.items():
        with publish_file(local_path(file), overwrite=True) as out:
            out.write(text.encode("utf-8"))
