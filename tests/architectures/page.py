"""Write docs/architectures.md and read it back: a section for each release of transformers that was tried."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.architectures.trial import Row

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
_TOP = """\
<!-- Written by `python -m tests.architectures.sweep`; edit tests/architectures/page.py, then run it again. -->
# Architectures

Every class that transformers has for masked language models, taken through the whole job: built small with random
weights, fine-tuned for a step, saved, reloaded in sentence-transformers, exported in fp32 and int8, each graph proven,
and run by the light runtime. A class that cannot make it is refused in one line.

All have the same tokenizer (byte-level BPE of 600 tokens), two layers of 32 dimensions and weights ten times as large
as usual, so that attention matters and a leak from padding shows. The texts are sixteen: empty ones, short, foreign,
odd, and longer than the model reads.

- **reloaded**: the largest difference in any component between the vectors of sentence-transformers on the saved folder
  and ours; the vectors have unit length.
- **fp32**: the same between the exported graph in the light runtime and torch, rounded up to a power of ten.
- **int8**: the lowest cosine over the texts between the int8 graph and torch, rounded down.
"""
_HEADING = "## transformers "
_ROW = re.compile(r"\| `(\S+)` \| (\S*) \| (\S*) \| (\S*) \| (\S*) \| (.*) \|")


def write_page(rows: Sequence[Row], classes: Mapping[str, str], release: str, about: str) -> None:
    """Write the section of `release`, in the place of an earlier one of it; the newest release goes first."""
    sections = {**_sections(), release: _section(rows, classes, release, about)}
    newest_first = sorted(sections, key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    PAGE.write_text("\n".join([_TOP, *(sections[name] for name in newest_first)]), encoding="utf-8")


def rows_of(release: str) -> dict[str, Row]:
    """Return what the page says of a release, by model type; empty where it says nothing."""
    found = (_ROW.fullmatch(line) for line in _sections().get(release, "").splitlines())
    return {m[1]: Row(m[1], _number(m[3]), _number(m[4]), _number(m[5]), m[6]) for m in found if m}


def _number(cell: str) -> float | None:
    return float(cell.strip("≤")) if cell else None


def _sections() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    _, *parts = text.split(f"\n{_HEADING}")
    return {part.split("\n", 1)[0]: _HEADING + part.rstrip("\n") + "\n" for part in parts}


def _section(rows: Sequence[Row], classes: Mapping[str, str], release: str, about: str) -> str:
    whole = sum(row.int8 is not None for row in rows)
    return "\n".join(
        [
            f"{_HEADING}{release}",
            "",
            f"{len(rows)} classes, {whole} of them to the end. {about}",
            "",
            "| type | class | reloaded | fp32 | int8 | what else is to say |",
            "|---|---|---|---|---|---|",
            *(_line(row, classes[row.kind]) for row in rows),
            "",
        ]
    )


def _line(row: Row, name: str) -> str:
    cells = (
        _above(row.saved),
        _above(row.fp32),
        "" if row.int8 is None else f"{math.floor(row.int8 * 1000) / 1000:.3f}",
    )
    return f"| `{row.kind}` | {name} | {' | '.join(cells)} | {row.told.replace('|', '/')} |"


def _above(value: float | None) -> str:
    """Return the next power of ten, which holds on other machines too."""
    if value is None:
        return ""
    return "0" if value == 0 else f"≤{10.0 ** math.ceil(math.log10(value)):.0e}"
