"""An engine folder on disk: what TensorRT built from which bundle, for which machine, and which profile takes a batch.

`manifest.json` says it all; builder and runtime share this contract. No TensorRT here, and nothing else heavy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats import fields
from mirrorkit.formats.bundle import GOLDEN, TOKENIZER, Bundle, inside
from mirrorkit.formats.files import is_within, sha256_of
from mirrorkit.formats.json_file import check_version, object_or_empty, read_json
from mirrorkit.formats.profiles import Profile
from mirrorkit.publish import repair

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
ENGINE_FILE = "model.engine"
TIMING_CACHE_FILE = "timing.cache"
OUTPUT = "sentence_embedding"  # fp32 [batch_size, dim], the only output; inputs as in mirrorkit.formats.bundle.INPUTS
KIND = "mirrorkit-engine"  # tells our manifest.json from those of other programs
PORTABLE = "portable"


class Precision(str, Enum):
    """What the matrices of an engine are multiplied in."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    FP8 = "fp8"  # E4M3; no variant of a bundle, it is made of the int8 one

    def __str__(self) -> str:
        return self.value

    @property
    def since(self) -> tuple[int, int]:
        """The compute capability of the first GPUs that have it: Ampere's, and for fp8 Ada's."""
        return (8, 9) if self is Precision.FP8 else (8, 0)


class Backend(str, Enum):
    """Which library built an engine; only the same one can run it."""

    TENSORRT = "tensorrt"
    RTX = "tensorrt-rtx"

    def __str__(self) -> str:
        return self.value


class Ids(str, Enum):
    """Type of `input_ids` and `attention_mask`."""

    INT32 = "int32"
    INT64 = "int64"

    def __str__(self) -> str:
        return self.value


class Status(str, Enum):
    """What is known of an engine."""

    BUILT = "built, not run"
    VERIFIED = "verified"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Gpu:
    """A graphics card and its driver."""

    name: str
    compute_capability: str  # "8.6"
    driver: str  # version of the driver, or of the newest CUDA that it takes

    @property
    def target(self) -> str:
        """Return it as targets are named: sm86."""
        return "sm" + self.compute_capability.replace(".", "")


@dataclass(frozen=True)
class Origin:
    """What an engine was built from."""

    bundle: str  # name of the bundle's folder
    identity: str  # `identity` of the bundle: another one means other vectors
    variant: str  # the variant that the graph was made of
    files: Mapping[str, str]  # the variant's files, relative to the bundle, and their sha256
    graph_sha256: str  # of the pooled, typed graph that was parsed


@dataclass(frozen=True)
class Engine:
    """An engine folder as its manifest.json describes it."""

    folder: Path
    backend: Backend
    version: str  # of the backend; an engine runs on exactly this one
    target: str  # portable, or sm86 and the like
    gpu: Gpu | None  # where it was built on one
    precision: Precision
    ids: Ids
    profiles: tuple[Profile, ...]
    dim: int
    max_length: int  # tokens; that of the bundle, profiles may end below
    source: Origin
    file: str  # relative to the folder
    sha256: str
    timing_cache: str | None  # file relative to the folder
    options: Mapping[str, Any]  # of the build
    status: Status
    graph_report: Mapping[str, Any] = field(default_factory=dict)  # of the source graph in ONNX Runtime
    report: Mapping[str, Any] = field(default_factory=dict)  # of the engine itself, empty unless it is verified

    @property
    def path(self) -> Path:
        """Return the path of the engine itself."""
        return inside(self.folder, self.file)


class EngineMismatchError(BundleError):
    """An engine is whole but not for this bundle, library or GPU; rebuilt from the bundle it would be."""

    def __init__(self, folder: Path, reasons: list[str]) -> None:
        super().__init__(f"{folder}: {'; '.join(reasons)}; build it again: mirrorkit engine BUNDLE -o {folder}")
        self.reasons = reasons


def identity(bundle: Bundle) -> str:
    """Return what tells one bundle from another: a hash of its tokenizer, its golden vectors and its limits."""
    known = [bundle.files[name].sha256 if name in bundle.files else "" for name in (TOKENIZER, GOLDEN)]
    limits = [str(v) for v in (bundle.dim, bundle.max_length, bundle.pooling, bundle.pad_token_id)]
    return hashlib.sha256("\n".join([*known, *limits]).encode()).hexdigest()


def mismatches(
    engine: Engine,
    *,
    bundle: Bundle | None = None,
    backend: Backend | None = None,
    version: str | None = None,
    gpu: Gpu | None = None,
) -> list[str]:
    """Return, one line each, why the engine is not for that bundle, library or GPU; what is None is not compared."""
    reasons = []
    if backend is not None and engine.backend is not backend:
        reasons.append(f"was built by {engine.backend}, this is {backend}")
    elif version is not None and engine.version != version:
        reasons.append(f"was built by {engine.backend} {engine.version}, this is {version}")
    if gpu is not None and not _runs_on(engine, gpu):
        wanted = engine.target
        if wanted == PORTABLE:
            wanted = "compute capability {}.{} or later".format(*engine.precision.since)
        reasons.append(f"was built for {wanted}, this GPU is {gpu.name} ({gpu.target})")
    if bundle is not None:
        if engine.source.identity != identity(bundle):
            reasons.append(f"was built from another model than {bundle.folder} holds")
        else:
            reasons += [
                f"{name} of {bundle.folder} has changed since it was built"
                for name, digest in engine.source.files.items()
                if name not in bundle.files or bundle.files[name].sha256 != digest
            ]
    return reasons


def check_engine(
    engine: Engine,
    *,
    bundle: Bundle | None = None,
    backend: Backend | None = None,
    version: str | None = None,
    gpu: Gpu | None = None,
) -> None:
    """Raise EngineMismatchError for what `mismatches` finds, BundleError for a file that is not the one built."""
    reasons = mismatches(engine, bundle=bundle, backend=backend, version=version, gpu=gpu)
    if reasons:
        raise EngineMismatchError(engine.folder, reasons)
    try:
        actual = sha256_of(engine.path)
    except OSError as err:
        raise BundleError(f"{engine.path}: cannot be read ({err.strerror or err})") from err
    if actual != engine.sha256:
        raise BundleError(
            f"{engine.path}: not the engine of {MANIFEST} (sha256 {actual[:12]}…, should be {engine.sha256[:12]}…)"
        )


def _runs_on(engine: Engine, gpu: Gpu) -> bool:
    if engine.target == PORTABLE:
        major, _, minor = gpu.compute_capability.partition(".")
        return (int(major), int(minor or 0)) >= engine.precision.since
    return engine.target == gpu.target


def is_engine(folder: Path) -> bool:
    """Return whether `folder` has a manifest.json of ours."""
    return object_or_empty(folder / MANIFEST).get("kind") == KIND


def read_engine(folder: Path) -> Engine:
    """Read manifest.json; raises BundleError where it is missing, malformed, newer than this, or not an engine's.

    Where a run was killed while it put the folder into its place, that is completed first.
    """
    repair(folder)
    if folder.is_file():
        raise BundleError(f"{folder}: is a file; give the folder that mirrorkit engine wrote, with its {MANIFEST}")
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise BundleError(
            f"{folder}: no {MANIFEST} in it, so this is not an engine folder; make one: mirrorkit engine BUNDLE -o DIR"
        )
    if not is_within(folder, MANIFEST):
        raise BundleError(f"{manifest}: is a link that leads out of the folder; put the file itself there")
    raw = read_json(manifest, BundleError, standard=True)
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise BundleError(f"{manifest}: not a mirrorkit engine; make one: mirrorkit engine BUNDLE -o DIR")
    check_version(manifest, raw, SCHEMA_VERSION, BundleError)
    try:
        engine = _parse(folder, raw)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as err:
        raise BundleError(f"{manifest}: malformed ({type(err).__name__}: {err})") from err
    if not engine.path.is_file():
        raise BundleError(f"{folder}: {engine.file} is missing")
    return engine


def write_engine(engine: Engine) -> None:
    """Write manifest.json into the engine's folder."""
    value = asdict(engine)
    del value["folder"]
    value["profiles"] = [str(profile) for profile in engine.profiles]
    text = json.dumps({"kind": KIND, "schema_version": SCHEMA_VERSION, **value}, indent=2, allow_nan=False)
    (engine.folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _parse(folder: Path, raw: dict[str, Any]) -> Engine:
    fields.check_shape(raw)
    profiles = tuple(Profile.parse(text) for text in fields.texts(raw["profiles"], "profiles"))
    if not profiles:
        raise ValueError("no profiles")
    source, gpu, cache = fields.entries(raw, "source"), raw["gpu"], raw["timing_cache"]
    return Engine(
        folder=folder,
        backend=Backend(raw["backend"]),
        version=fields.text(raw, "version"),
        target=fields.text(raw, "target"),
        gpu=None if gpu is None else Gpu(**{name: fields.text(gpu, name, 200) for name in gpu}),
        precision=Precision(raw["precision"]),
        ids=Ids(raw["ids"]),
        profiles=profiles,
        dim=fields.whole(raw, "dim", fields.WIDEST, 1),
        max_length=fields.whole(raw, "max_length", fields.LONGEST_INPUT, 1),
        source=Origin(
            bundle=fields.text(source, "bundle", fields.LONGEST_PATH),
            identity=fields.digest(source, "identity"),
            variant=fields.text(source, "variant"),
            files={
                fields.as_text(name, "files", fields.LONGEST_PATH): fields.digest(source["files"], name)
                for name in fields.entries(source, "files")
            },
            graph_sha256=fields.digest(source, "graph_sha256"),
        ),
        file=fields.text(raw, "file", fields.LONGEST_PATH),
        sha256=fields.digest(raw, "sha256"),
        timing_cache=None if cache is None else fields.as_text(cache, "timing_cache", fields.LONGEST_PATH),
        options=dict(fields.entries(raw, "options")),
        status=Status(raw["status"]),
        graph_report=dict(fields.entries(raw, "graph_report")),
        report=dict(fields.entries(raw, "report")),
    )
