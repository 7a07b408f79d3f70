"""What a file was taken for and what was found in it, said in one line."""

from __future__ import annotations

from typing import Protocol


class Described(Protocol):
    """A file, or what looks like one, after it was read."""

    @property
    def name(self) -> str: ...

    @property
    def layout(self) -> list[str]: ...

    @property
    def bad(self) -> int: ...


def understood(source: Described, rows: int, blank: int, repeats: int = 0, sample: int | None = None) -> str:
    """Return in one line what a file was taken for and what was found in it."""
    counts = {"row": rows, "empty": blank, "repeated": repeats, "bad left out": source.bad}
    told = [f"{count:,} {what}{'s' * (what == 'row' and count != 1)}" for what, count in counts.items() if count]
    drawn = [f"an even sample of {sample:,} of them"] if sample and sample < rows else []
    return f"{source.name}: {', '.join([*source.layout, *told, *drawn])}"
