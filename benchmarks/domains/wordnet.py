"""WordNet: the words of a synset ask, its gloss answers, the lexicographer file is the label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.domains.entries import Entry, joined
from benchmarks.domains.packages import unpacked
from mirrorkit.errors import ConfigError

HOME = Path("/usr/share/wordnet")
SHORTEST = 30  # characters of a gloss
PARTS = ("noun", "verb", "adj", "adv")
_LICENCE = "  "  # how its lines begin
_EXAMPLE = re.compile(r'"([^"]+)"')
# The names of the lexicographer files by their number, from lexnames(5WN).
FILES = [
    "adj.all",
    "adj.pert",
    "adv.all",
    "noun.Tops",
    "noun.act",
    "noun.animal",
    "noun.artifact",
    "noun.attribute",
    "noun.body",
    "noun.cognition",
    "noun.communication",
    "noun.event",
    "noun.feeling",
    "noun.food",
    "noun.group",
    "noun.location",
    "noun.motive",
    "noun.object",
    "noun.person",
    "noun.phenomenon",
    "noun.plant",
    "noun.possession",
    "noun.process",
    "noun.quantity",
    "noun.relation",
    "noun.shape",
    "noun.state",
    "noun.substance",
    "noun.time",
    "verb.body",
    "verb.change",
    "verb.cognition",
    "verb.communication",
    "verb.competition",
    "verb.consumption",
    "verb.contact",
    "verb.creation",
    "verb.emotion",
    "verb.motion",
    "verb.perception",
    "verb.possession",
    "verb.social",
    "verb.stative",
    "verb.weather",
    "adj.ppl",
]


def entries(home: Path | None = None) -> Iterator[Entry]:
    """Yield the synsets under `home`, by default WordNet as installed, or of Debian's `wordnet-base`."""
    for part, line in _lines(home):
        if not line.startswith(_LICENCE):
            yield from _synset(line, part)


def examples(home: Path | None = None) -> list[str]:
    """Return the distinct example sentences of the glosses, in the order of the files."""
    glosses = (line.partition(" | ")[2] for _, line in _lines(home) if not line.startswith(_LICENCE))
    return list(dict.fromkeys(" ".join(found.split()) for gloss in glosses for found in _EXAMPLE.findall(gloss)))


def licence(home: Path | None = None) -> str:
    """Return the licence that stands at the head of every file, without its line numbers."""
    lines = [line for part, line in _lines(home) if line.startswith(_LICENCE) and part == PARTS[0]]
    return "\n".join(line.strip().partition(" ")[2].rstrip() for line in lines) + "\n"


def _lines(home: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the part of speech and the text of every line."""
    if home is None:
        home = HOME if HOME.is_dir() else unpacked("wordnet-base") / "usr/share/wordnet"
    for part in PARTS:
        file = home / f"data.{part}"
        if not file.is_file():
            raise ConfigError(f"{home}: no {file.name} in it; this is not WordNet's folder")
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield part, line


def _synset(line: str, part: str) -> Iterator[Entry]:
    """Yield the entry of `offset file type count(hex) word id word id … | gloss; "example"`, if it will do."""
    record, _, gloss = line.partition(" | ")
    fields = record.split()
    words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
    title = ", ".join(word.partition("(")[0].replace("_", " ") for word in words)
    text = joined(gloss.partition('; "')[0].strip())
    if len(title) > 2 and len(text) >= SHORTEST and not text.startswith('"'):
        yield Entry(f"{part}/{fields[0]}", title, text, FILES[int(fields[1])])
