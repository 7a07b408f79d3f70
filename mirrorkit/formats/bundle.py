"""The bundle on disk: names, hashes, precisions, limits. Every runtime reads it through this contract.

`mirrorkit.json` says what the folder holds. No torch and no backend here, and no path from the file leads out of the
folder.

Every variant gives the same vectors, nearly, but `static`: that one is a model of its own, with vectors of its own
length, and golden texts and ranges of its own. No `auto` and no precision ever means it; it is taken by its name.

The field `preference` has for each device (cpu, cuda, tensorrt for ONNX Runtime's provider of that name, wasm for a
browser) the names of variants, the best first. Every runtime chooses by it alone: `auto` is the first of the list, and
a precision such as `fp32` the first of the list that has it, so that a fused graph stands in for the plain one where
it is the faster. Names of variants that the bundle does not hold are passed over. A device without a list, as in
bundles written before there was one, has that of `PREFERENCE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats import fields
from mirrorkit.formats.files import is_file_within, is_within, sha256_of
from mirrorkit.formats.json_file import check_version, read_json
from mirrorkit.formats.packed import bytes_of, is_packed
from mirrorkit.formats.pooling import pooling_name, poolings_of
from mirrorkit.formats.usage import Usage, usage_from

SCHEMA_VERSION = 3
MANIFEST = "mirrorkit.json"
GOLDEN = "golden.jsonl"
GOLDEN_STATIC = "golden_static.jsonl"
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
    STATIC = "static"  # another, far smaller model, distilled from the one that the others are

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
    "static": "onnx/model_static.onnx",
}

# device -> variants, the best first. A fused graph gives the same numbers as its plain one, sooner. TensorRT reads
# standard operators alone. A browser gains nothing by fusing, and has to load what it runs: small goes first there.
PREFERENCE: Mapping[str, tuple[str, ...]] = {
    "cpu": ("int8-fused", "int8", "fp32-fused", "fp32", "fp16", "int4"),
    "cuda": ("fp16", "fp32-fused", "fp32", "int8-fused", "int8", "int4"),
    "tensorrt": ("fp16", "fp32"),
    "wasm": ("int8", "int8-fused", "fp16", "fp32", "fp32-fused", "int4"),
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
    dim: int = 0  # length of its vectors; 0: the bundle's
    golden: str = GOLDEN  # the file of texts and vectors that every runtime must reproduce with it
    scalar_ranges: fields.Ranges | None = None  # of its components, where `dim` is its own


@dataclass(frozen=True)
class FileRecord:
    """What a file of the bundle must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Bundle:
    """A bundle as its mirrorkit.json describes it."""

    folder: Path  # or the file that it is packed in
    architecture: str  # model_type of config.json
    dim: int
    max_length: int  # tokens, special tokens included; longer text is cut
    pooling: str  # one or several joined by +
    pad_token_id: int
    variants: Mapping[str, Variant]
    files: Mapping[str, FileRecord]  # every file but mirrorkit.json, by its path in the bundle
    absent: Mapping[str, Variant] = field(default_factory=dict)  # those of which a file is not here
    provenance: Mapping[str, Any] = field(default_factory=dict)  # model, versions, options, calibration text
    preference: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: PREFERENCE)  # see above
    usage: Usage = field(default_factory=Usage)  # prompts, and what can be said of the vectors
    width: int = 0  # of a token vector; 0: as `dim`, as in every bundle before there was anything behind the pooling
    pools_only: bool = True  # whether pooling the token vectors, and unit length, give the sentence vector
    scalar_ranges: fields.Ranges | None = None  # of the components over the calibration texts; None in older bundles
    truncate_dims: tuple[int, ...] = ()  # lengths that the model was trained to be cut to, the shortest first

    @property
    def token_dim(self) -> int:
        """Length of a token vector."""
        return self.width or self.dim

    def dim_of(self, variant: Variant) -> int:
        """Return the length of a vector of that variant."""
        return variant.dim or self.dim

    def ranges_of(self, variant: Variant) -> fields.Ranges | None:
        """Return the lowest and highest value of each component of that variant; None where nobody took them."""
        return variant.scalar_ranges if variant.dim else self.scalar_ranges

    def truncate_dims_of(self, variant: Variant) -> tuple[int, ...]:
        """Return the lengths that vectors of that variant may be cut to; none for one with vectors of its own."""
        return () if variant.dim else self.truncate_dims

    def path(self, relative: str) -> Path:
        """Return the path of a file of the bundle."""
        return inside(self.folder, relative)

    def variant(self, name: str) -> Variant:
        """Return the variant of that name; raises ConfigError naming those there are."""
        if name not in self.variants:
            left = f"; {', '.join(self.absent)} were left out of it" if self.absent else ""
            raise ConfigError(f"variant {name!r}: {self.folder} holds {', '.join(self.variants) or 'none'}{left}")
        return self.variants[name]

    def named(self, names: Sequence[str] | None) -> list[Variant]:
        """Return the variants of these names, each once, or all of them; raises ConfigError as `variant` does."""
        return [self.variant(name) for name in dict.fromkeys(names)] if names else list(self.variants.values())

    def preferred(self, device: str) -> list[Variant]:
        """Return the variants to choose from on a device, the best first."""
        names = self.preference.get(device, PREFERENCE.get(device, ()))
        return [self.variants[name] for name in names if name in self.variants]

    def choose(self, wanted: str, device: str) -> Variant:
        """Return the best variant for `auto` or a precision, else the one of that name or file.

        Raises ConfigError naming those there are.
        """
        fitting = (v for v in self.preferred(device) if wanted in ("auto", v.precision))
        by_file = (v for v in self.variants.values() if v.file == wanted)
        found = next(fitting, None) or next(by_file, None)
        if found is None and wanted == "auto" and list(self.variants) == [Precision.STATIC]:
            raise ConfigError(f"variant 'auto': {self.folder} holds only static, another model; take it by its name")
        return found or self.variant(wanted)


def inside(folder: Path, relative: str) -> Path:
    """Return `folder / relative`; raises BundleError where that leads out of the folder, links included."""
    if not is_within(folder, relative):
        raise BundleError(f"{folder}: the path {relative!r} leads out of the bundle")
    return folder / relative


def is_bundle(folder: Path) -> bool:
    """Return whether `folder` has a mirrorkit.json."""
    return (folder / MANIFEST).is_file()


def read_bundle(folder: Path, *, complete: bool = False, packed: bool = False) -> Bundle:
    """Read `mirrorkit.json`.

    With `packed` it may also be a bundle in one file, which only who reads all files by `formats.packed` can take.

    Of a bundle that was pulled or kept in part the variants are those whose files are here, the others are `absent`;
    with `complete` all are taken for here. Where a run was killed while it put the folder into its place, that is
    completed first. Raises BundleError when the manifest is missing or malformed, was written by
    a newer release, or names a path outside the folder. What a file holds is left to `check_file`.
    """
    manifest = folder / MANIFEST
    if not folder.exists():
        from mirrorkit.publish import repair  # what writes is not loaded to read

        repair(folder)
    if not packed and is_packed(folder):
        raise BundleError(f"{folder}: a folder is needed here; mirrorkit unpack {folder.name} -o BUNDLE makes one")
    try:
        bundle = _parse(folder, _manifest_of(folder))
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as err:
        raise BundleError(f"{manifest}: malformed ({type(err).__name__}: {err})") from err
    for name in bundle.files:  # links too
        inside(folder, name)
    for variant in bundle.variants.values():
        for name in (variant.file, *variant.data_files):
            if name not in bundle.files:
                raise BundleError(f"{manifest}: variant {variant.name} needs {name}, which is not among its files")
    if complete:
        return bundle
    absent = {
        variant.name: variant
        for variant in bundle.variants.values()
        if not all(is_file_within(folder, name) for name in (variant.file, *variant.data_files))
    }
    here = {name: variant for name, variant in bundle.variants.items() if name not in absent}
    return replace(bundle, variants=here, absent=absent)


def _manifest_of(folder: Path) -> dict[str, Any]:
    """Return what mirrorkit.json holds, of a schema that is known."""
    manifest = folder / MANIFEST
    if not manifest.exists() and not is_packed(folder):
        raise BundleError(f"{folder}: no {MANIFEST} in it, so this is not a bundle; make one: mirrorkit export")
    if not is_within(folder, MANIFEST):
        raise BundleError(f"{manifest}: is a link that leads out of the folder; put the file itself there")
    raw = read_json(manifest, BundleError, standard=True)
    check_version(manifest, raw, SCHEMA_VERSION, BundleError)
    return dict(raw)


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Return the record of every file under `folder` but mirrorkit.json."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    names = ((file.relative_to(folder).as_posix(), file) for file in files)
    return {name: FileRecord(sha256_of(file), file.stat().st_size) for name, file in names if name != MANIFEST}


def check_file(bundle: Bundle, name: str, *, hashed: bool = True) -> None:
    """Raise BundleError unless the file is byte for byte the one that was verified; without `hashed`, of its size."""
    record = bundle.files.get(name)
    if record is None:
        raise BundleError(f"{bundle.folder}: {name} is not among the files of {MANIFEST}")
    _check_size(bundle, name, record)
    if not hashed:
        return
    try:
        actual = sha256_of(bundle.path(name))
    except OSError as err:
        raise BundleError(f"{bundle.path(name)}: cannot be read ({err.strerror or err})") from err
    if actual != record.sha256:
        raise BundleError(
            f"{bundle.path(name)}: changed or damaged (sha256 {actual[:12]}…, {MANIFEST} says {record.sha256[:12]}…)"
        )


def _check_size(bundle: Bundle, name: str, record: FileRecord) -> None:
    file = bundle.path(name)
    if not is_file_within(bundle.folder, name):
        raise BundleError(f"{bundle.folder}: {name} is missing")
    size = len(bytes_of(file)) if is_packed(bundle.folder) else file.stat().st_size
    if size != record.bytes:
        raise BundleError(f"{file}: has {size} bytes, {MANIFEST} says {record.bytes}")


def _parse(folder: Path, raw: dict[str, Any]) -> Bundle:
    fields.check_shape(raw)
    return Bundle(
        folder=folder,
        architecture=fields.text(raw, "architecture"),
        dim=fields.whole(raw, "dim", fields.WIDEST, 1),
        max_length=fields.whole(raw, "max_length", fields.LONGEST_INPUT, 1),
        pad_token_id=fields.whole(raw, "pad_token_id", fields.LARGEST_ID),
        variants={name: _variant(name, v) for name, v in fields.entries(raw, "variants").items()},
        files={name: _record(name, r) for name, r in fields.entries(raw, "files").items()},
        provenance=dict(fields.entries(raw, "provenance")),
        width=fields.whole(raw, "width", fields.WIDEST) if "width" in raw else 0,
        pools_only=fields.flag(raw, "pools_only", True),
        scalar_ranges=fields.ranges(raw, "scalar_ranges", raw["dim"]),
        truncate_dims=fields.lengths(raw, "truncate_dims", raw["dim"]),
        preference={
            fields.as_text(device, "preference"): fields.texts(names, f"preference for {device}")
            for device, names in (fields.entries(raw, "preference") if "preference" in raw else {}).items()
        },
        pooling=pooling_name(poolings_of(fields.text(raw, "pooling", fields.LONGEST_TEXT))),
        usage=usage_from(raw),
    )


def _variant(name: str, raw: Mapping[str, Any]) -> Variant:
    file = fields.path(raw["file"], "file")
    if not file.endswith(".onnx"):
        raise ValueError(f"variant {fields.as_text(name, 'variant')}: {file!r} is not an .onnx file")
    dim = fields.whole(raw, "dim", fields.WIDEST, 1) if "dim" in raw else 0
    if not dim and raw.get("scalar_ranges") is not None:
        raise ValueError("scalar_ranges of a variant need its dim")
    return Variant(
        fields.as_text(name, "variant"),
        file,
        Precision(raw["precision"]),
        Graph(raw["graph"]),
        tuple(
            fields.path(name, "data_files")
            for name in fields.texts(raw["data_files"], "data_files", fields.LONGEST_PATH)
        ),
        dict(fields.entries(raw, "report")),
        dim,
        fields.path(raw["golden"], "golden") if "golden" in raw else GOLDEN,
        fields.ranges(raw, "scalar_ranges", dim),
    )


def _record(name: str, raw: Mapping[str, Any]) -> FileRecord:
    fields.path(name, "files")
    return FileRecord(fields.digest(raw, "sha256"), fields.whole(raw, "bytes", fields.LARGEST_FILE))
