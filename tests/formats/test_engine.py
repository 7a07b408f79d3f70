"""The engine folder on disk, and which profile takes which batch. Nothing here needs TensorRT or a GPU."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import GOLDEN, TOKENIZER, Bundle, FileRecord
from mirrorkit.formats.engine import (
    MANIFEST,
    Backend,
    Engine,
    EngineMismatchError,
    Gpu,
    Ids,
    Origin,
    Precision,
    Status,
    check_engine,
    identity,
    is_engine,
    mismatches,
    read_engine,
    write_engine,
)
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.pooling import Pooling
from mirrorkit.formats.profiles import EnginePass, Profile, Shape, choose
from mirrorkit.machine import gpu as nvidia

FILE = "onnx/model.onnx"
AMPERE = Gpu("NVIDIA A10", "8.6", "580.65")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    files = {name: FileRecord(hashlib.sha256(name.encode()).hexdigest(), 1) for name in (TOKENIZER, GOLDEN, FILE)}
    return Bundle(tmp_path / "bundle", "bert", 8, 64, Pooling.MEAN, 0, {}, files)


@pytest.fixture
def engine(tmp_path: Path, bundle: Bundle) -> Engine:
    """Return a written engine folder; what stands for the engine itself is not one."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "model.engine").write_bytes(b"plan")
    made = Engine(
        folder=folder,
        backend=Backend.RTX,
        version="1.7.1.116",
        target="sm86",
        gpu=AMPERE,
        precision=Precision.FP16,
        ids=Ids.INT32,
        profiles=(Profile.parse("min=1x8,opt=32x32,max=256x64"), Profile.parse("1x64")),
        dim=8,
        max_length=64,
        source=Origin("bundle", identity(bundle), "fp32", {FILE: bundle.files[FILE].sha256}, "ab" * 32),
        file="model.engine",
        sha256=sha256_of(folder / "model.engine"),
        timing_cache=None,
        options={"tf32": False},
        status=Status.BUILT,
        graph_report={"cosine_min": 1.0},
    )
    write_engine(made)
    return made


def change(engine: Engine, edit: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((engine.folder / MANIFEST).read_text(encoding="utf-8"))
    edit(manifest)
    (engine.folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_what_is_written_is_read(engine: Engine) -> None:
    assert is_engine(engine.folder)
    assert read_engine(engine.folder) == engine
    write_engine(replace(engine, gpu=None, timing_cache="timing.cache"))
    assert read_engine(engine.folder).gpu is None
    assert read_engine(engine.folder).timing_cache == "timing.cache"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(kind="webextension"), "not a mirrorkit engine"),
        (lambda m: m.update(schema_version=99), "schema_version 99, this mirrorkit reads up to 1"),
        (lambda m: m.update(schema_version=True), "schema_version must be a whole number above 0, is True"),
        (lambda m: m.pop("profiles"), "malformed"),
        (lambda m: m.update(profiles=[]), "no profiles"),
        (lambda m: m.update(profiles=["min=9x9,opt=1x1,max=9x9"]), "min <= opt <= max"),
        (lambda m: m.update(backend="openvino"), "openvino"),
        (lambda m: m.update(gpu={"brand": "x"}), "malformed"),
        (lambda m: m.update(file="../model.engine"), "leads out"),
        (lambda m: m.update(file="other.engine"), "other.engine is missing"),
    ],
)
def test_a_manifest_that_is_not_right_is_named(
    engine: Engine, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    change(engine, edit)
    with pytest.raises(BundleError, match=message):
        read_engine(engine.folder)


def test_a_manifest_outside_the_folder_is_not_read(engine: Engine, tmp_path: Path) -> None:
    write_engine(engine)
    manifest = engine.folder / "manifest.json"
    manifest.rename(tmp_path / "elsewhere.json")
    manifest.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(BundleError, match="is a link that leads out"):
        read_engine(engine.folder)


def test_a_foreign_engine_is_told_apart(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is a file; give the folder that mirrorkit engine wrote"):
        read_engine(engine.path)
    (engine.folder / MANIFEST).unlink()
    assert not is_engine(engine.folder)
    with pytest.raises(BundleError, match=r"no manifest\.json in it, so this is not an engine folder"):
        read_engine(engine.folder)
    (engine.folder / MANIFEST).write_text("[" * 100_000, encoding="utf-8")
    assert not is_engine(engine.folder)
    with pytest.raises(BundleError, match="not a readable JSON file"):
        read_engine(engine.folder)


def test_an_engine_that_fits_is_accepted(engine: Engine, bundle: Bundle) -> None:
    check_engine(engine, bundle=bundle, backend=Backend.RTX, version="1.7.1.116", gpu=AMPERE)
    portable = replace(engine, target="portable")
    assert mismatches(portable, gpu=Gpu("NVIDIA RTX 5090", "12.0", "580")) == []


def test_what_does_not_fit_is_named(engine: Engine, bundle: Bundle) -> None:
    turing = Gpu("NVIDIA T4", "7.5", "580")
    told = mismatches(engine, backend=Backend.TENSORRT, version="11.4", gpu=turing)
    assert told == ["was built by tensorrt-rtx, this is tensorrt", "was built for sm86, this GPU is NVIDIA T4 (sm75)"]
    assert mismatches(engine, backend=Backend.RTX, version="1.8") == [
        "was built by tensorrt-rtx 1.7.1.116, this is 1.8"
    ]
    (late,) = mismatches(replace(engine, target="portable"), gpu=turing)
    assert "compute capability 8.0 or later" in late
    float8 = replace(engine, target="portable", precision=Precision.FP8)
    (early,) = mismatches(float8, gpu=AMPERE)
    assert early == "was built for compute capability 8.9 or later, this GPU is NVIDIA A10 (sm86)"
    assert mismatches(float8, gpu=Gpu("NVIDIA L4", "8.9", "580")) == []
    changed = replace(bundle, files={**bundle.files, FILE: FileRecord("other", 1)})
    assert mismatches(engine, bundle=changed) == [f"{FILE} of {bundle.folder} has changed since it was built"]
    other = replace(bundle, files={**bundle.files, GOLDEN: FileRecord("other", 1)})
    assert mismatches(engine, bundle=other) == [f"was built from another model than {bundle.folder} holds"]
    with pytest.raises(EngineMismatchError, match=r"was built by .* this is 1\.8; build it again: mirrorkit engine"):
        check_engine(engine, backend=Backend.RTX, version="1.8")


def test_an_engine_that_was_exchanged_is_refused(engine: Engine) -> None:
    engine.path.write_bytes(b"nalp")
    with pytest.raises(BundleError, match=r"model\.engine: not the engine of manifest\.json"):
        check_engine(engine)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min=1x8,opt=1x4,max=9x9", "min 1x8 is larger than opt 1x4"),
        ("min=1x8,opt=32x32,max=16x128", "opt 32x32 is larger than max 16x128"),
        ("min=1x8,max=16x128", "must be like"),
        ("min=1x8,opt=1x8,opt=1x8", "must be like"),
        ("min=0x8,opt=1x8,max=1x8", "'0x8' is not a shape"),
        ("1x", "is not a shape"),
        ("", "is not a shape"),
        ("-1x8", "is not a shape"),
        ("99999999999x1", "is not a shape"),
    ],
)
def test_a_profile_that_is_not_one_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Profile.parse(text)


def test_profiles_are_read_as_they_are_written() -> None:
    profile = Profile(Shape(1, 8), Shape(32, 32), Shape(256, 128))
    assert Profile.parse("min=1x8, opt=32x32, max=256x128") == Profile.parse(str(profile)) == profile
    assert Profile.parse("32x128") == Profile(*[Shape(32, 128)] * 3)
    assert Profile.parse("32x128").fixed
    assert not profile.fixed


MIXED = [
    Profile.parse(text)
    for text in ("min=1x1,opt=1x32,max=1x128", "min=8x8,opt=256x16,max=512x32", "min=1x1,opt=32x64,max=64x128")
]


@pytest.mark.parametrize(
    ("batch", "length", "runs"),
    [
        (1, 10, [EnginePass(0, 0, 1, Shape(1, 10))]),
        (256, 16, [EnginePass(1, 0, 256, Shape(256, 16))]),
        (40, 64, [EnginePass(2, 0, 40, Shape(40, 64))]),
        (65, 128, [EnginePass(2, 0, 33, Shape(33, 128)), EnginePass(2, 33, 32, Shape(32, 128))]),
        (513, 4, [EnginePass(1, 0, 257, Shape(257, 8)), EnginePass(1, 257, 256, Shape(256, 8))]),
    ],
)
def test_the_best_profile_takes_the_batch(batch: int, length: int, runs: list[EnginePass]) -> None:
    assert choose(MIXED, batch, length) == runs


def test_the_fixed_profile_takes_what_it_was_made_for_and_fills_up_the_rest() -> None:
    only = [Profile.parse("32x64")]
    assert choose(only, 3, 5) == [EnginePass(0, 0, 3, Shape(32, 64))]
    assert [run.rows for run in choose(only, 65, 64)] == [22, 22, 21]
    with pytest.raises(ConfigError, match="65 tokens: the longest that this engine has a profile for is 64"):
        choose(only, 1, 65)
    with pytest.raises(ConfigError, match="at least one text"):
        choose(only, 0, 5)


def test_every_row_runs_once_in_a_shape_that_its_profile_takes() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        low, opt, high = np.sort(random.integers(1, 200, (3, random.integers(1, 5), 2)), axis=0)
        profiles = [Profile(*(Shape(*map(int, s[i])) for s in (low, opt, high))) for i in range(len(low))]
        batch, length = int(random.integers(1, 700)), int(random.integers(1, max(p.max.length for p in profiles) + 1))
        runs = choose(profiles, batch, length)
        assert [row for run in runs for row in range(run.first, run.first + run.rows)] == list(range(batch))
        for run in runs:
            profile = profiles[run.profile]
            assert profile.min.within(run.shape)
            assert run.shape.within(profile.max)
            assert Shape(run.rows, length).within(run.shape)
        assert len(runs) == -(-batch // max(p.max.batch for p in profiles if p.max.length >= length))


class Driver:
    """The driver's interface of a machine with one NVIDIA A10."""

    devices = 1

    def cuInit(self, _: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGet(self, device: Any, _: int) -> int:  # noqa: N802
        device._obj.value = 0
        return 0 if self.devices else 101

    def cuDeviceGetName(self, name: Any, *_: Any) -> int:  # noqa: N802
        name.value = b"NVIDIA A10"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _: Any) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: 6}[attribute]
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13010
        return 0


def test_the_gpu_is_what_the_driver_says(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setattr(nvidia, "_library", lambda name: driver if "cuda" in name else None)
    assert nvidia.current_gpu() == Gpu("NVIDIA A10", "8.6", "CUDA 13.1")
    assert AMPERE.target == "sm86"
    driver.devices = 0
    assert nvidia.current_gpu() is None
    monkeypatch.setattr(nvidia, "_library", lambda _: None)
    assert nvidia.current_gpu() is None


def test_a_library_that_is_not_there_is_none() -> None:
    assert nvidia._library("libno-such-thing.so.1") is None
    assert isinstance(nvidia._library(ctypes.util.find_library("c") or "libc.so.6"), ctypes.CDLL)
