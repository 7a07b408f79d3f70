"""The bundle on disk: names, hashes, precisions, limits. Every runtime reads it through this contract.

`mirrorkit.json` says what the folder holds. No torch and no backend here, and no path from the file leads out of the
folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.layout import Pooling

SCHEMA_VERSION = 1
MANIFEST = "mirrorkit.json"
GOLDEN = "golden.jsonl"
TOKENIZER = "tokenizer.json"
INPUTS = ("input_ids", "attention_mask")  # int64 [batch_size, sequence_length]
OUTPUTS = ("last_hidden_state", "sentence_embedding")  # fp32, in this order; consumers rely on it
AXES = ("batch_size", "sequence_length")


class Precision(str, Enum):
    """How a variant stores and multiplies its weights."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"

    def __str__(self) -> str:
        return self.value


class Graph(str, Enum):
    """Which operators a variant is made of, and so where it runs."""

    ONNX = "onnx"  # standard operators alone: any ONNX consumer, TensorRT, the browser
    ONNXRUNTIME = "onnxruntime"  # com.microsoft operators too: ONNX Runtime only

    def __str__(self) -> str:
        return self.value


# variant name -> its file; the names that transformers.js, fastembed and sentence-transformers look for
VARIANT_FILES = {
    "fp32": "onnx/model.onnx",
    "fp32-fused": "onnx/model_fused.onnx",
    "fp16": "onnx/model_fp16.onnx",
    "int8": "onnx/model_quantized.onnx",
    "int8-fused": "onnx/model_fused_quantized.onnx",
    "int4": "onnx/model_q4.onnx",
}


@dataclass(frozen=True)
class Variant:
    """One ONNX graph of a bundle."""

    name: str  # a key of VARIANT_FILES
    file: str  # relative to the bundle, with forward slashes
    precision: Precision
    graph: Graph
    data_files: tuple[str, ...] = ()  # further files that hold its weights, relative to the bundle
    report: Mapping[str, Any] = field(default_factory=dict)  # what verification measured and allowed


@dataclass(frozen=True)
class FileRecord:
    """What a file of the bundle must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Bundle:
    """A bundle as its mirrorkit.json describes it."""

    folder: Path
    architecture: str  # model_type of config.json
    dim: int
    max_length: int  # tokens, special tokens included; longer text is cut
    pooling: Pooling
    pad_token_id: int
    variants: Mapping[str, Variant]
    files: Mapping[str, FileRecord]  # every file but mirrorkit.json, by its path in the bundle
    provenance: Mapping[str, Any] = field(default_factory=dict)  # model, versions, options, calibration text

    def path(self, relative: str) -> Path:
        """Return the path of a file of the bundle."""
        return inside(self.folder, relative)

    def variant(self, name: str) -> Variant:
        """Return the variant of that name; raises ConfigError naming those there are."""
        if name not in self.variants:
            raise ConfigError(f"variant {name!r}: {self.folder} holds {', '.join(self.variants) or 'none'}")
        return self.variants[name]


def inside(folder: Path, relative: str) -> Path:
    """Return `folder / relative`; raises BundleError where that leads out of the folder, links included."""
    path = folder / relative
    if not relative or not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{folder}: the path {relative!r} leads out of the bundle")
    return path


def is_bundle(folder: Path) -> bool:
    """Return whether `folder` has a mirrorkit.json."""
    return (folder / MANIFEST).is_file()


def read_bundle(folder: Path) -> Bundle:
    """Read `mirrorkit.json`.

    Raises BundleError when it is missing or malformed, was written by a newer release, names a path outside the
    folder, or names a file that is missing or has another size. Hashes are left to `check_file`.
    """
    manifest = folder / MANIFEST
    try:
        raw = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise BundleError(
            f"{folder}: no {MANIFEST} in it, so this is not a bundle; make one: mirrorkit export"
        ) from err
    except (OSError, ValueError, RecursionError) as err:
        raise BundleError(f"{manifest}: not a readable JSON file ({err})") from err
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise BundleError(f"{manifest}: no schema_version in it")
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{manifest}: schema {version}, this mirrorkit reads up to {SCHEMA_VERSION}; upgrade mirrorkit"
        )
    try:
        bundle = _parse(folder, raw)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise BundleError(f"{manifest}: malformed ({type(err).__name__}: {err})") from err
    for name, record in bundle.files.items():
        _check_size(bundle, name, record)
    for variant in bundle.variants.values():
        for name in (variant.file, *variant.data_files):
            if name not in bundle.files:
                raise BundleError(f"{manifest}: variant {variant.name} needs {name}, which is not among its files")
    return bundle


def write_manifest(bundle: Bundle) -> None:
    """Write `mirrorkit.json` into the bundle's folder."""
    value = {
        "schema_version": SCHEMA_VERSION,
        "architecture": bundle.architecture,
        "dim": bundle.dim,
        "max_length": bundle.max_length,
        "pooling": str(bundle.pooling),
        "normalized": True,
        "pad_token_id": bundle.pad_token_id,
        "variants": {
            v.name: {
                "file": v.file,
                "precision": str(v.precision),
                "graph": str(v.graph),
                "data_files": list(v.data_files),
                "report": dict(v.report),
            }
            for v in bundle.variants.values()
        },
        "files": {name: {"sha256": r.sha256, "bytes": r.bytes} for name, r in sorted(bundle.files.items())},
        "provenance": dict(bundle.provenance),
    }
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    (bundle.folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Return the record of every file under `folder` but mirrorkit.json."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    names = ((file.relative_to(folder).as_posix(), file) for file in files)
    return {name: FileRecord(sha256_of(file), file.stat().st_size) for name, file in names if name != MANIFEST}


def check_file(bundle: Bundle, name: str) -> None:
    """Raise BundleError unless the file is byte for byte the one that was verified."""
    record = bundle.files.get(name)
    if record is None:
        raise BundleError(f"{bundle.folder}: {name} is not among the files of {MANIFEST}")
    _check_size(bundle, name, record)
    try:
        actual = sha256_of(bundle.path(name))
    except OSError as err:
        raise BundleError(f"{bundle.path(name)}: cannot be read ({err.strerror or err})") from err
    if actual != record.sha256:
        raise BundleError(
            f"{bundle.path(name)}: changed or damaged (sha256 {actual[:12]}…, {MANIFEST} says {record.sha256[:12]}…)"
        )


def sha256_of(file: Path) -> str:
    """Return the hex SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_size(bundle: Bundle, name: str, record: FileRecord) -> None:
    file = bundle.path(name)
    if not file.is_file():
        raise BundleError(f"{bundle.folder}: {name} is missing")
    if file.stat().st_size != record.bytes:
        raise BundleError(f"{file}: has {file.stat().st_size} bytes, {MANIFEST} says {record.bytes}")


def _parse(folder: Path, raw: dict[str, Any]) -> Bundle:
    variants = {
        name: Variant(
            name,
            str(v["file"]),
            Precision(v["precision"]),
            Graph(v["graph"]),
            tuple(str(f) for f in v["data_files"]),
            dict(v["report"]),
        )
        for name, v in raw["variants"].items()
    }
    if raw["normalized"] is not True:
        raise ValueError("normalized must be true")
    return Bundle(
        folder=folder,
        architecture=str(raw["architecture"]),
        dim=_positive(raw, "dim"),
        max_length=_positive(raw, "max_length"),
        pooling=Pooling(raw["pooling"]),
        pad_token_id=_whole(raw, "pad_token_id"),
        variants=variants,
        files={name: FileRecord(str(r["sha256"]), _whole(r, "bytes")) for name, r in raw["files"].items()},
        provenance=dict(raw["provenance"]),
    )


def _whole(raw: Mapping[str, Any], key: str) -> int:
    value = raw[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} must be a whole number, is {value!r}")
    return value


def _positive(raw: Mapping[str, Any], key: str) -> int:
    if _whole(raw, key) == 0:
        raise ValueError(f"{key} must be above 0")
    return int(raw[key])
