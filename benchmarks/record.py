"""What every measurement here shares: the machine, one JSON file a measurement, Markdown between markers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mirrorkit.bench.measure.machine import cpu_flags
from mirrorkit.errors import OutputError
from mirrorkit.formats.json_file import read_object
from mirrorkit.machine.facts import cpu_name, load_average, usable_cores, versions

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED = ROOT.parent / "shared"
RESULTS, README = HERE / "results", HERE / "README.md"

PAGES = {
    "studies": "studies.md",
    "step": "studies.md",
    "verdict": "studies.md",
    "words": "studies.md",
    "peers": "peers.md",
    "ladder": "ladder.md",
    "curves": "curves.md",
}  # where sections stand; the others in README.md

INSTRUCTIONS = {  # of Linux' names of features, the best first
    "amx_tile": "AMX",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}

Figures = Mapping[str, Any]


def machine(gpu: str | None, *packages: str) -> dict[str, Any]:
    """Return the hardware and versions that a measurement is worthless without; no name of the host."""
    return {
        "hardware": {"cpu": processor(), "cores": usable_cores(), "gpu": gpu, "load_average": load_average()},
        "versions": versions("mirrorkit", *packages),
    }


def processor() -> str:
    """Return the processor's name and its best instructions for products: two of one name may differ in those."""
    flags = cpu_flags() or []
    best = next((name for flag, name in INSTRUCTIONS.items() if flag in flags), None)
    return f"{cpu_name()} with {best}" if best else cpu_name()


def slug(text: str) -> str:
    """Return `text` as a part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def write_json(file: Path, record: Figures) -> None:
    """Write a measurement; the same file again replaces it."""
    write_text(file, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_json(folder: Path, prefix: str) -> list[dict[str, Any]]:
    """Return the measurements in `folder` whose name starts with `prefix`, in the order of their names."""
    return [read_object(file) for file in sorted(folder.glob(f"{prefix}*.json"))]


def page_of(readme: Path, section: str) -> Path:
    """Return the file beside the README that a section stands in; the README where there is no such file."""
    page = readme.with_name(PAGES.get(section, readme.name))
    return page if page.is_file() else readme


def update_section(readme: Path, name: str, content: str) -> None:
    """Replace what stands between the markers of `name`; a file without them is an error, not a place to append."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as err:
        raise OutputError(f"{readme}: cannot be read ({err.strerror})") from err
    before, found, rest = text.partition(f"{begin}\n")
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise OutputError(f"{readme}: must have a line {begin} and after it a line {end}")
    write_text(readme, f"{before}{begin}\n{content}\n{end}{after}")


def write_text(file: Path, text: str) -> None:
    """Write all or nothing."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.partial")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as err:
        raise OutputError(f"{file}: cannot be written ({err.strerror})") from err


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
