"""What a search found, for people: a line each, or what two models found side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from mirrorkit.terminal.console import stdout

if TYPE_CHECKING:
    from mirrorkit.finding.index import Hit

_SHORTEST = 20  # characters of a text, however narrow the terminal
_SIDE = 160  # characters of a text that stands beside another


def hits_lines(hits: Sequence[Hit]) -> Iterator[str]:
    """Yield score, place and text of each; on a terminal the text is cut where the line ends."""
    console = stdout()
    places = [_printable(hit.place) for hit in hits]
    widest = max(map(len, places))
    room = max(console.width - widest - 11, _SHORTEST) if console.is_terminal else None
    for hit, place in zip(hits, places, strict=True):
        yield f"{hit.score:7.4f}  {place:{widest}}  {_cut(hit.text, room)}"


def hits_table(before: Sequence[Hit], after: Sequence[Hit], names: tuple[str, str]) -> Table:
    """Return what the base found, what the tuned model found, and where the base had that."""
    table = Table("", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=True)
    for name in names:
        table.add_column(Text(name), ratio=1, overflow="fold")
    table.add_column("was")
    ranks = {(hit.place, hit.text): rank for rank, hit in enumerate(before, 1)}
    for rank, (old, new) in enumerate(zip(before, after, strict=True), 1):
        was = ranks.get((new.place, new.text))
        table.add_row(str(rank), _cell(old), _cell(new), "new" if was is None else "=" if was == rank else str(was))
    return table


def _cell(hit: Hit) -> Text:
    """Return a cell of plain text: what a file holds is no markup."""
    return Text.assemble((f"{hit.score:.4f} {_printable(hit.place)}", "bold"), "\n", _cut(hit.text, _SIDE))


def _cut(text: str, room: int | None) -> str:
    line = _printable(" ".join(text.split()))
    return line if room is None or len(line) <= room else line[: room - 1] + "…"


def _printable(text: str) -> str:
    """Return a text whose characters steer no terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
