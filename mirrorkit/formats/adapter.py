"""An adapter: a small map from the vectors of one encoder into the space of another, as a folder holds it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

import numpy as np

from mirrorkit.errors import ModelError
from mirrorkit.formats import fields
from mirrorkit.formats.files import is_file_within, sha256_of
from mirrorkit.formats.json_file import check_version, read_object
from mirrorkit.formats.plain import from_plain, plain
from mirrorkit.formats.tensors import read_tensors, write_tensors
from mirrorkit.paths import local_path
from mirrorkit.text.ragged import Floats

KIND = "mirrorkit-adapter"
SCHEMA_VERSION = 1
ABOUT, WEIGHTS = "adapter.json", "adapter.safetensors"
SIMILARITIES = ("cosine", "dot")  # of which an adapter can be made


class Map(str, Enum):
    """What kind of map it is."""

    ORTHOGONAL = "orthogonal"  # a rotation and a shift
    LOW_RANK = "low-rank"  # an affine map of limited rank
    MLP = "mlp"  # an affine map and a layer of ReLUs beside it

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Side:
    """One of the two encoders."""

    fingerprint: str
    variant: str
    dim: int


@dataclass(frozen=True)
class Recalls:
    """Share of the ten best that a full encoding with the new encoder finds, over texts that nothing was fitted to."""

    before: float | None  # new queries among old vectors, as they are; null where the lengths differ
    after: float  # new queries, adapted, among old vectors
    old: float  # old queries among old vectors: how much the two models agree at all
    queries: int
    texts: int  # searched


@dataclass(frozen=True)
class AdapterRecord:
    """What is known of an adapter."""

    map: str
    rank: int  # of the map, or of its layer of ReLUs
    new: Side  # whose vectors it takes
    old: Side  # in whose space it gives vectors
    similarity: str
    normalized: bool  # whether what it gives is brought to unit length
    recall_at_10: Recalls
    corpus: str  # sha256
    versions: Mapping[str, str]
    sha256: str = ""  # of the weights


@dataclass(frozen=True)
class Adapter:
    """The map. `weights` are `weight` or `down` and `up`, `bias`, and of an mlp `hidden`, `hidden_bias`, `out`."""

    record: AdapterRecord
    weights: Mapping[str, Floats]

    def __call__(self, vectors: Floats) -> Floats:
        """Return vectors float32 [n, old dim] of [n, new dim]."""
        w = self.weights
        if self.record.similarity == "cosine":  # fitted to directions
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        found = vectors @ w["down"] @ w["up"] if "down" in w else vectors @ w["weight"]
        found = found + w["bias"]
        if "hidden" in w:
            found += np.maximum(vectors @ w["hidden"] + w["hidden_bias"], 0) @ w["out"]
        if self.record.normalized:
            found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return np.asarray(found, dtype=np.float32)

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the encoder whose vectors it takes, and of the map."""
        return hashlib.sha256(f"{self.record.new.fingerprint}+{self.record.sha256}".encode()).hexdigest()

    def check_encoder(self, fingerprint: str, what: str) -> None:
        """Raise ModelError where it was made for another encoder than the one with this fingerprint."""
        new, old = self.record.new.fingerprint, self.record.old.fingerprint
        if fingerprint == old:
            raise ModelError(
                f"{what} is the old encoder of this `adapter`, whose vectors need none; it takes those of the new one, "
                f"{new[:12]}"
            )
        if fingerprint != new:
            raise ModelError(
                f"{what} has the fingerprint {fingerprint[:12]}, and the `adapter` takes vectors of {new[:12]} "
                f"({self.record.new.variant}) alone"
            )


def write_adapter(folder: Path, adapter: Adapter) -> None:
    """Write it into an empty folder."""
    write_tensors(folder / WEIGHTS, adapter.weights)
    record = {**plain(adapter.record), "sha256": sha256_of(folder / WEIGHTS)}
    about = {"kind": KIND, "schema_version": SCHEMA_VERSION, **record}
    (folder / ABOUT).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_adapter(folder: str | Path) -> Adapter:
    """Open the folder of an adapter; raises ModelError for what is none, is damaged, or does not fit together."""
    home = local_path(folder)
    for name in (ABOUT, WEIGHTS):
        if not is_file_within(home, name):
            raise ModelError(f"{folder}: no adapter, as mirrorkit adapt writes it; {name} is not in it")
    raw = read_object(home / ABOUT)
    if raw.get("kind") != KIND:
        raise ModelError(f"{home / ABOUT}: kind must be {KIND!r}, is {fields.shown(raw.get('kind'))}")
    check_version(home / ABOUT, raw, SCHEMA_VERSION)
    try:
        record: AdapterRecord = from_plain(AdapterRecord, raw)
        if sha256_of(home / WEIGHTS) != record.sha256:
            raise ModelError(f"{home / WEIGHTS}: does not have the recorded sha256, so it is damaged or another one")
        weights = read_tensors(home / WEIGHTS)
        _check(record, weights)
    except ValueError as err:
        raise ModelError(f"{home / ABOUT}: {err}") from err
    return Adapter(record, weights)


def _check(record: AdapterRecord, weights: Mapping[str, Floats]) -> None:
    """Raise ValueError for weights that do not fit what is said of them."""
    if record.similarity not in SIMILARITIES:
        raise ValueError(f"similarity must be one of {', '.join(SIMILARITIES)}")
    new, old, rank = record.new.dim, record.old.dim, record.rank
    if not all(1 <= number <= fields.WIDEST for number in (new, old, rank)):
        raise ValueError(f"dimensions and rank must be from 1 to {fields.WIDEST}")
    straight = {"weight": (new, old), "bias": (old,)}
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        Map.ORTHOGONAL.value: straight,
        Map.LOW_RANK.value: {"down": (new, rank), "up": (rank, old), "bias": (old,)},
        Map.MLP.value: {**straight, "hidden": (new, rank), "hidden_bias": (rank,), "out": (rank, old)},
    }
    if record.map not in shapes:
        raise ValueError(f"map {fields.shown(record.map)} must be one of {', '.join(Map)}")
    found = {name: values.shape for name, values in weights.items()}
    if found != shapes[record.map]:
        raise ValueError(f"the weights have the shapes {found}, and should have {shapes[record.map]}")
    if not all(math.isfinite(float(np.abs(values).max())) for values in weights.values()):
        raise ValueError("NaN or infinity in the weights")
