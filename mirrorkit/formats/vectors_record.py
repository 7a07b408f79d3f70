"""Which model made a file of vectors: kept in a parquet file's metadata, or in a small JSON file beside other files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorkit.errors import CorpusError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.formats import fields
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.json_file import check_version, read_json
from mirrorkit.formats.plain import from_plain, plain
from mirrorkit.formats.usage import SIMILARITIES
from mirrorkit.paths import size_of
from mirrorkit.text.windows import LONG

KIND = "mirrorkit-vectors"
SCHEMA_VERSION = 1
SUFFIX = ".mirrorkit.json"  # of the file beside
KEY = b"mirrorkit"  # in the metadata of a parquet file
_MOST_CANARIES = 100


@dataclass(frozen=True)
class Canary:
    """A text and the float32 vector that it was given, before any conversion to fewer bytes."""

    text: str
    vector: tuple[float, ...]


@dataclass(frozen=True)
class VectorsRecord:
    """What decided the vectors of a file, and texts that show whether another encoder gives the same ones."""

    fingerprint: str  # of the encoder
    variant: str
    max_length: int
    similarity: str
    prompt: str  # put before each text
    normalize: bool | None  # as it was asked for; null where nothing was asked
    truncate_dim: int | None
    output_type: str
    versions: Mapping[str, str]
    canaries: tuple[Canary, ...]
    long: str = "cut"  # what became of texts of more than max_length tokens
    sha256: str | None = None  # of the file that this lies beside

    def text(self) -> str:
        """Return it as JSON."""
        about = {"kind": KIND, "schema_version": SCHEMA_VERSION, **plain(self)}
        return json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def beside(vectors: Path) -> Path:
    """Return where the record of a file of vectors lies that has no place for it inside."""
    return vectors.with_name(vectors.name + SUFFIX)


def read_record(vectors: Path) -> VectorsRecord:
    """Return the record of a file of vectors.

    Raises CorpusError where there is none, where it is malformed, and where it is of other vectors.
    """
    if vectors.suffix == ".parquet":
        try:
            size_of(vectors)  # arrow would wait for a pipe
        except OSError as err:
            raise CorpusError(f"{vectors}: cannot be read ({err.strerror or err})") from err
        return _parsed(vectors, _inside(vectors))
    file = beside(vectors)
    if not file.exists():
        raise CorpusError(f"{vectors}: no {file.name} beside it, which would say what made these vectors")
    record = _parsed(file, read_json(file, CorpusError))
    try:
        actual = sha256_of(vectors)
    except OSError as err:
        raise CorpusError(f"{vectors}: cannot be read ({err.strerror or err})") from err
    if record.sha256 != actual:
        raise CorpusError(f"{file}: is of other vectors than those in {vectors.name}, by their sha256")
    return record


def _inside(vectors: Path) -> Any:
    parquet = require("pyarrow.parquet", extra="parquet")
    with foreign(CorpusError, f"{vectors}: cannot be read as parquet"):
        metadata = parquet.read_schema(vectors).metadata or {}
    if KEY not in metadata:
        raise CorpusError(f"{vectors}: its metadata does not say what made these vectors")
    try:
        return json.loads(metadata[KEY])
    except (ValueError, RecursionError) as err:
        raise CorpusError(f"{vectors}: metadata {KEY.decode()!r} is not readable JSON ({err})") from err


def _parsed(file: Path, raw: Any) -> VectorsRecord:
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise CorpusError(f"{file}: does not say what made vectors (kind must be {KIND!r})")
    check_version(file, raw, SCHEMA_VERSION, CorpusError)
    try:
        record: VectorsRecord = from_plain(VectorsRecord, raw)
        _check(record)
    except ValueError as err:
        raise CorpusError(f"{file}: {err}") from err
    return record


def _check(record: VectorsRecord) -> None:
    """Raise ValueError for what no encoder has written."""
    if len(record.canaries) > _MOST_CANARIES:
        raise ValueError(f"canaries must be at most {_MOST_CANARIES}, are {len(record.canaries)}")
    if not record.canaries:
        raise ValueError("canaries: none of the texts had a vector, so that nothing can be compared")
    widths = {len(canary.vector) for canary in record.canaries}
    if len(widths) > 1 or not 1 <= max(widths) <= fields.WIDEST:
        raise ValueError(f"canaries must have vectors of one length of 1 to {fields.WIDEST}")
    if not all(math.isfinite(number) for canary in record.canaries for number in canary.vector):
        raise ValueError("canaries: NaN or infinity in a vector")
    if any(len(text) > fields.LONGEST_TEXT for text in (record.prompt, *(c.text for c in record.canaries))):
        raise ValueError(f"a text is longer than {fields.LONGEST_TEXT} characters")
    if record.similarity not in SIMILARITIES:
        raise ValueError(f"similarity {fields.shown(record.similarity)} must be one of {', '.join(SIMILARITIES)}")
    if record.long not in LONG:
        raise ValueError(f"long {fields.shown(record.long)} must be one of {', '.join(LONG)}")
    if record.truncate_dim is not None and record.truncate_dim < 1:
        raise ValueError(f"truncate_dim must be at least 1, is {record.truncate_dim}")
