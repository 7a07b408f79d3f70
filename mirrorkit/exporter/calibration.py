"""The texts that ranges are taken over: a file of the user's, the corpus the model was trained on, or a shipped sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mirrorkit
from mirrorkit.errors import CorpusError
from mirrorkit.readers import Source

SHIPPED = Path(mirrorkit.__file__).parent / "assets" / "calibration.txt"
MAX_TEXTS = 512
MAX_CHARACTERS = 20_000  # of one text; no model reads further


@dataclass(frozen=True)
class CalibrationText:
    """Texts to calibrate on, and which file they are of."""

    texts: list[str]
    name: str  # of the file
    sha256: str  # of the file as stored


def calibration_texts(
    file: str | None, card_corpus: str | Path | None = None, limit: int = MAX_TEXTS
) -> CalibrationText:
    """Return an even sample of at most `limit` distinct texts, in the order of the file.

    From `file` (txt, csv, tsv, jsonl, parquet, .gz; "-" is standard input), else from `card_corpus`, the corpus that
    the model's card names, where that can be read, else from the shipped sample. Raises CorpusError for a `file` that
    cannot be read or holds no text.
    """
    if file is not None:
        return _read(file, limit)
    if card_corpus is not None and Path(card_corpus).is_file():
        return _read(str(card_corpus), limit)
    return _read(str(SHIPPED), limit)


def _read(file: str, limit: int) -> CalibrationText:
    source = Source(file, None, 1)
    texts = even_sample(_texts(source), limit)
    if not texts:
        raise CorpusError(f"{file}: no text in it; calibration needs at least one, some hundred are better")
    return CalibrationText(texts, source.name, source.sha256)


def _texts(source: Source) -> Iterator[str]:
    for (text,) in source.records():
        if stripped := text.strip():
            yield stripped[:MAX_CHARACTERS]


def even_sample(texts: Iterator[str] | Sequence[str], limit: int) -> list[str]:
    """Return at most `limit` distinct texts at near-equal distances, holding at most twice as many at a time.

    Every `step`th text is kept; whenever there are twice too many, every second of them goes and `step` doubles.
    """
    kept: dict[str, None] = {}
    step = 1
    for number, text in enumerate(texts):
        if number % step == 0:
            kept[text] = None
            if len(kept) >= 2 * limit:
                kept = dict.fromkeys(list(kept)[::2])
                step *= 2
    found = list(kept)
    count = min(limit, len(found))
    return [found[i * len(found) // count] for i in range(count)]
