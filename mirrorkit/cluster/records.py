"""What is on record of a folder of shards: what made it, one small file a shard, and the manifest of all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mirrorkit.errors import CorpusError
from mirrorkit.formats.plain import from_plain, plain

SCHEMA_VERSION = 1
MADE_BY = "_made_by.json"  # what makes the shards of a folder; readers of data sets pass over names with a `_`
SHARDS = "_shards"  # folder of the records of shards
MANIFEST = "_manifest.json"
SUCCESS = "_SUCCESS"
_KINDS = {"made by": "mirrorkit-shards", "shard": "mirrorkit-shard", "manifest": "mirrorkit-manifest"}
_LARGEST = 1 << 20  # bytes of one record


@dataclass(frozen=True)
class Shard:
    """A file of texts, or some row groups of one, that becomes one file of vectors; and what tells that it changed."""

    name: str  # of its vectors below the folder of shards
    source: str  # below the place that all inputs lie in
    size: int  # bytes of the whole file
    changed: str  # when it was changed, or its entity tag in a store
    groups: tuple[int, ...] | None = None  # row groups of a parquet file; None: the whole file

    @property
    def record(self) -> str:
        """Return the name of its record."""
        return f"{SHARDS}/{self.name}.json"


@dataclass(frozen=True)
class MadeBy:
    """All that decides the vectors and columns of a folder of shards."""

    fingerprint: str  # of the encoder
    variant: str
    dim: int  # numbers of a vector before they are packed into bits
    max_length: int
    prompt: str
    normalize: bool | None
    truncate_dim: int | None
    output_type: str
    batch_tokens: int | None
    id_column: str | None
    keep: tuple[str, ...]
    text_column: str | None
    delimiter: str | None
    encoding: str | None
    header: bool | None
    versions: Mapping[str, str]  # told, but not compared: the fingerprint says what decides

    @property
    def digest(self) -> str:
        """Return the hex SHA-256 of all of it but the versions."""
        told = {name: value for name, value in plain(self).items() if name != "versions"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def differs(self, other: MadeBy) -> str:
        """Return in words what differs first between this and the one that is wanted."""
        mine, wanted = plain(self), plain(other)
        name = next(name for name in mine if name != "versions" and mine[name] != wanted[name])
        return f"{name} {_short(mine[name])}, not {_short(wanted[name])}"


@dataclass(frozen=True)
class ShardRecord:
    """A shard that is done, or whose input cannot be read."""

    shard: Shard
    made_by: str  # digest of what made it
    rows: int = 0  # in its file of vectors
    skipped: int = 0  # rows of the input that are not, as they could not be read or encoded
    faults: tuple[str, ...] = ()  # what was wrong with the first of these
    bytes: int = 0
    sha256: str = ""  # of the file of vectors
    seconds: float = 0.0
    error: str | None = None  # why there is no file of vectors


@dataclass(frozen=True)
class Manifest:
    """The shards of a folder, in the order of their inputs, and what made them."""

    made_by: MadeBy
    rows: int
    skipped: int
    bytes: int
    failed: int  # shards whose input cannot be read
    shards: tuple[ShardRecord, ...]


def as_json(what: MadeBy | ShardRecord | Manifest) -> bytes:
    """Return a record as JSON."""
    about = {"kind": _KINDS[_kind_of(type(what))], "schema_version": SCHEMA_VERSION, **plain(what)}
    return (json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")


def from_json(hint: type[Any], raw: bytes, where: str) -> Any:
    """Return the record of type `hint` in `raw`. Raises CorpusError where it is none, or of a newer release."""
    kind = _KINDS[_kind_of(hint)]
    try:
        if len(raw) > _LARGEST and hint is not Manifest:
            raise ValueError(f"has {len(raw):,} bytes")
        value = json.loads(raw)
        if not isinstance(value, dict) or value.get("kind") != kind:
            raise ValueError(f"kind must be {kind!r}")
        version = value.get("schema_version")
        if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
            raise ValueError(f"schema_version {version!r}, this mirrorkit reads up to {SCHEMA_VERSION}")
        return from_plain(hint, value)
    except (ValueError, RecursionError) as err:
        raise CorpusError(f"{where}: is not a readable record ({err})") from err


def _kind_of(hint: type[Any]) -> str:
    return {MadeBy: "made by", ShardRecord: "shard", Manifest: "manifest"}[hint]


def _short(value: object) -> str:
    text = value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= 16 else f"{text[:12]}…"
