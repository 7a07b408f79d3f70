"""The code on a page: find it, run it as a reader would, hold what it prints to what the page says."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
    *sorted((ROOT / "export").glob("*/README.md")),
    *sorted((ROOT / "export").glob("README.md")),
    ROOT / "benchmarks" / "README.md",
]
COLUMNS = "100"  # width of the terminal whose output the pages show

_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_MARK = "-- block"
# What takes time differs everywhere, and so does what is used of a machine, and what is next to nothing.
_VARIES = re.compile(r"[\d.,]*\d(?= ?(?:s|ms|min|pairs/s|sentences/s|texts/s|GB)\b)|\d(?:\.\d+)?e-\d+")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?!\w)")
# How far a measured number may be off: of itself, and at least. A cosine after the same training in bf16 and in fp32
# differs by up to 0.07.
_SHARE, _LEAST = 0.05, 0.1


@dataclass(frozen=True)
class Block:
    """Code that a reader pastes, and what the page says it prints."""

    page: str  # path in the repository
    number: int  # among the page's, from 0
    language: str
    code: str
    output: str | None

    @property
    def name(self) -> str:
        return f"{self.page} {self.number}"


def blocks(page: Path) -> list[Block]:
    """Return the bash and Python blocks of a page in their order."""
    name = page.relative_to(ROOT).as_posix()
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(name, i, language, code, out or None) for i, (language, code, out) in enumerate(found)]


def run(these: Sequence[Block], folder: Path, env: Mapping[str, str]) -> list[str]:
    """Run the blocks one after another in one shell and return what each printed; the first that fails raises."""
    script = ["set -e"]
    for block in these:
        script.append(f"echo; echo '{_MARK}'")
        script += [block.code] if block.language == "bash" else ["python - <<'PASTED'", block.code, "PASTED"]
    around = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": COLUMNS, "XDG_CACHE_HOME": f"{folder}-cache", **env}
    around.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=around,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = done.stdout.split(f"\n{_MARK}\n")[1:]
    assert done.returncode == 0, f"{these[len(said) - 1].name}: exit code {done.returncode}\n{done.stdout}"
    return said


def differences(block: Block, printed: str) -> list[str]:
    """Return the lines of the page's output that were not printed, in that order; `…` stands for any lines."""
    rest = iter(_lines(printed))
    wanted = _lines(block.output or "")
    return [
        f"{block.name}: {line!r} was not printed:\n{printed}"
        for line in wanted
        if not any(alike(line, other) for other in rest)
    ][:1]


def alike(wanted: str, printed: str) -> bool:
    """Tell whether two lines are equal but for time, and for measured numbers within their tolerance."""
    wanted, printed = (_VARIES.sub("<varies>", line) for line in (wanted, printed))
    if _NUMBER.sub("#", wanted) != _NUMBER.sub("#", printed):
        return False
    return all(map(_near, _NUMBER.findall(wanted), _NUMBER.findall(printed)))


def _near(wanted: str, printed: str) -> bool:
    if "." not in wanted:
        return wanted == printed
    one, other = (float(text.replace(",", "")) for text in (wanted, printed))
    return abs(one - other) <= max(_SHARE * abs(one), _LEAST)


def _lines(text: str) -> Iterator[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return (line for line in lines if line and line != "…")
