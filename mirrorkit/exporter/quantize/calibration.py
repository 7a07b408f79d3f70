"""The texts that ranges are taken over: a file of the user's, the corpus of the fine-tune, or a shipped sample."""

from __future__ import annotations

import logging
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.assets.paths import CALIBRATION
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text.folders import Folder
from mirrorkit.text.ragged import RaggedIds
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading

log = logging.getLogger(__name__)

MAX_TEXTS = 512
STIRRED = 0.2  # share of tokens
# Texts of one character, beside every sample: special tokens that have one token between them look as they do in no
# longer text.
CHARACTERS = (*string.punctuation, *string.digits, *string.ascii_lowercase)
MAX_CHARACTERS = 20_000  # of one text; no model reads further


@dataclass(frozen=True)
class CalibrationText:
    """Texts to calibrate on, and which file they are of."""

    texts: list[str]
    name: str  # of the file
    sha256: str  # of the file as stored


def sample_for(file: str | Path | None, column: str | None, corpus: Path | None) -> CalibrationText:
    """Return the texts of `file`, else of the `corpus` that the model was trained on, else shipped ones."""
    if file is not None:
        return calibration_texts(str(file), column)
    if corpus is not None:
        try:
            return calibration_texts(str(corpus), column)
        except (ConfigError, CorpusError) as err:  # a column had to be named to read it, for example
            log.info("the corpus of the fine-tune cannot be read as it is (%s): using the shipped sample", err)
    return calibration_texts(None)


def calibration_texts(file: str | None, column: str | None = None, *, limit: int = MAX_TEXTS) -> CalibrationText:
    """Return an even sample of at most `limit` distinct texts, in the order of the file.

    From `file` (txt, csv, tsv, jsonl, parquet, .gz; "-" is standard input), whose text is in `column`, a name or a
    number, else from the shipped sample. Raises CorpusError for a file that cannot be read or holds no text.
    """
    return _read(file, column, limit) if file is not None else _read(str(CALIBRATION), None, limit)


def ordinary_tokens(tokenizer: Any) -> list[int]:
    """Return the ids of the tokens that text is made of: neither special nor set aside by the tokenizer's makers."""
    special = set(tokenizer.all_special_ids)
    vocabulary = tokenizer.get_vocab().items()
    return sorted(i for token, i in vocabulary if i not in special and not token.startswith("[unused"))


def stirred(ids: RaggedIds, vocabulary: Sequence[int]) -> RaggedIds:
    """Return the texts, and a copy of every other one in which one token in five is any of the `vocabulary`.

    No sample holds every token, and those it lacks reach further than those it has: ranges that knew the sample alone
    would cut them off.
    """
    draw = np.random.default_rng(0)
    tokens = np.asarray(vocabulary, dtype=np.int32)
    rows = [ids[i] for i in range(len(ids))]
    for row in rows[::2]:
        copy = row.copy()
        swapped = draw.random(len(row)) < STIRRED
        swapped[[0, -1]] = False  # where the special tokens stand
        copy[swapped] = draw.choice(tokens, int(swapped.sum()))
        rows.append(copy)
    return RaggedIds.from_blocks([[row.tolist() for row in rows]])


def _read(file: str, column: str | None, limit: int) -> CalibrationText:
    source = TextSource(file, Reading((column,) if column else None))
    texts = even_sample(texts_of(source), limit)
    if not texts:
        raise CorpusError(f"{file}: no text in it; calibration needs at least one, and a few hundred are better")
    return CalibrationText(texts, source.name, source.sha256)


def texts_of(source: TextSource | Folder) -> Iterator[str]:
    """Yield the rows that are not blank, as far as any model reads."""
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
