"""Debian's package descriptions: the synopsis asks, the long description answers, the archive's section is the label.

In any language that Debian's translators have, by its code: "en" has all packages, "de" and "fr" thousands.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.domains.entries import LONGEST_TEXT, Entry, fits, joined
from mirrorkit.errors import ConfigError

SHORTEST = 220  # characters of a description
_READER = "/usr/lib/apt/apt-helper"  # reads the index files however they are compressed
_BULLETS = ("*", "-", "+", "o ")


def entries(language: str, home: Path | None = None) -> Iterator[Entry]:
    """Yield a package of each source, since those of one source share their text, from apt's lists under `home`."""
    home = home or _fetched(language)
    translations = sorted(home.glob(f"*_main_i18n_Translation-{language}*"))
    indices = sorted(home.glob("*_main_binary-*_Packages*"))
    if not translations or not indices:
        raise ConfigError(f"{home}: no Translation-{language} and Packages in it; these are not apt's lists")
    sections: dict[str, tuple[str, str]] = {}  # package -> source, section
    for fields in _paragraphs(indices):
        name = fields.get("Package", "")
        sections.setdefault(name, (fields.get("Source", name).partition(" ")[0], fields.get("Section", "")))
    seen = set()
    for fields in _paragraphs(translations):
        name = fields.get("Package", "")
        source, section = sections.get(name, ("", ""))
        synopsis, _, body = fields.get(f"Description-{language}", "").partition("\n")
        text = joined(" ".join(_running(body)))
        if source and source not in seen and fits(synopsis, text, SHORTEST):
            seen.add(source)
            yield Entry(name, synopsis, text[:LONGEST_TEXT], section)


def _running(body: str) -> Iterator[str]:
    """Yield the lines of a long description without the marks of paragraphs and lists."""
    for line in body.split("\n"):
        words = line.strip()
        if words != ".":
            yield words[1:] if words.startswith(_BULLETS) else words


def _paragraphs(files: list[Path]) -> Iterator[dict[str, str]]:
    """Yield the fields of each paragraph of control files; a field of several lines keeps them."""
    for file in files:
        done = subprocess.run([_READER, "cat-file", file], capture_output=True, check=False)
        if done.returncode:
            raise ConfigError(f"{file} cannot be read ({' '.join(done.stderr.decode(errors='replace').split())})")
        for paragraph in done.stdout.decode("utf-8", "replace").split("\n\n"):
            fields: dict[str, str] = {}
            name = ""
            for line in paragraph.split("\n"):
                if line.startswith(" "):
                    fields[name] = f"{fields.get(name, '')}\n{line}"
                else:
                    name, _, value = line.partition(":")
                    fields[name] = value.strip()
            yield fields


def _fetched(language: str) -> Path:
    """Download the indices of the machine's own sources into a temporary folder: what is installed is not touched."""
    home = Path(tempfile.mkdtemp(prefix="debian-lists-"))
    (home / "partial").mkdir()
    command = ["apt-get", "-o", f"Dir::State::lists={home}", "-o", f"Acquire::Languages={language}", "update"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as err:
        told = " ".join((getattr(err, "stderr", b"") or str(err).encode()).decode(errors="replace").split())
        raise ConfigError(f"apt's lists cannot be fetched ({told}); is this Debian, and may apt-get be run?") from err
    return home
