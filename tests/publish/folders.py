"""Folders to publish, and what is found in them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mirrorkit.publish import publish_folder


def model_at(folder: Path, text: str = "old") -> Path:
    folder.mkdir(parents=True)
    (folder / "training.json").write_text(record(text), encoding="utf-8")
    return folder


def record(text: str) -> str:
    return f'{{"base": "{text}"}}'


def publish(out: Path, *, overwrite: bool = False, then: Callable[[], object] = lambda: None) -> None:
    """Publish two files, doing `then` when they are written."""
    with publish_folder(out, overwrite=overwrite) as draft:
        (draft / "deep").mkdir()
        (draft / "deep" / "weights").write_text("new", encoding="utf-8")
        (draft / "config.json").write_text("new", encoding="utf-8")
        then()


def failing(error: BaseException) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def tree(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text(encoding="utf-8") for f in folder.rglob("*") if f.is_file()}


NEW = {"config.json": "new", "deep/weights": "new"}
