"""The texts that a static variant learns from: a user's, those of the fine-tune, or shipped ones."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.assets.documents import document_sentences, plain_sentences
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.exporter.quantize.calibration import CalibrationText, calibration_texts, even_sample

log = logging.getLogger(__name__)

TEXTS = 4000  # twice as many gain tenths of a point, and cost the encoder twice the time
FEW = 1000  # texts of one's own below which shipped ones are put beside them


@dataclass(frozen=True)
class StaticCorpus:
    """Texts, and where they are from."""

    texts: list[str]
    name: str  # for people: of the file, or of the shipped texts
    sha256: str  # of the file as stored; of the texts where they are shipped ones
    shipped: int  # how many of the texts are shipped ones


def static_corpus(
    calibration: str | Path | None, column: str | None, corpus: Path | None, sample: CalibrationText
) -> StaticCorpus:
    """Return an even sample of the user's `calibration` file, else of the fine-tune's `corpus`, else shipped sentences.

    Few texts are filled up with shipped ones. Of standard input there is no more than the `sample` taken of it.
    """
    if str(calibration) == "-":
        own: CalibrationText | None = sample
    elif calibration is not None:
        own = calibration_texts(str(calibration), column, limit=TEXTS)
    else:
        own = _of_training(corpus, column)
    shipped = _shipped()
    if own is None:
        return StaticCorpus(shipped, "shipped sentences", _hash(shipped), len(shipped))
    texts = even_sample(own.texts, TEXTS)
    added = [] if len(texts) >= FEW else even_sample([text for text in shipped if text not in set(texts)], FEW)
    return StaticCorpus([*texts, *added], own.name, own.sha256, len(added))


def _of_training(corpus: Path | None, column: str | None) -> CalibrationText | None:
    if corpus is None:
        return None
    try:
        return calibration_texts(str(corpus), column, limit=TEXTS)
    except (ConfigError, CorpusError) as err:  # a column had to be named to read it, for example
        log.info("the corpus of the fine-tune cannot be read as it is (%s): using shipped sentences", err)
        return None


def _shipped() -> list[str]:
    """Return example sentences of a dictionary, and sentences of documentation."""
    plain = plain_sentences()
    return [*plain, *document_sentences(TEXTS - len(plain))]


def _hash(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
