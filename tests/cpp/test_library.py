"""libmirrorkit: the same vectors as the Python runtime, an error for bad input, and a package others can build with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.formats.bundle import record_files
from tests.bundles import bundle_of
from tests.conftest import REAL_TEXTS
from tests.cpp.building import ROOT, SOURCE, example, onnxruntime_library, run, succeed

pytestmark = pytest.mark.cpp

TOLERANCE = 1e-5  # of a component, fp32


@pytest.fixture
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return a bundle of the shipped model with a golden.jsonl of the Python runtime's, to do anything to."""
    pytest.importorskip("torch", reason="needs the export extra")
    from mirrorkit.runtime.encoder import Encoder

    folder = tmp_path / "bundle"
    shutil.copytree(bundle_of(tiny, ["fp32"], tmp_path_factory), folder)
    encoder = Encoder(folder, "fp32", threads=1)
    ids = encoder._encoding.opened.tokenizer.ids(REAL_TEXTS)
    vectors = encoder.encode(REAL_TEXTS)
    lines = (
        json.dumps({"text": text, "input_ids": ids[i].tolist(), "embedding": vectors[i].tolist()}, ensure_ascii=False)
        for i, text in enumerate(REAL_TEXTS)
    )
    (folder / "golden.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _record(folder)
    return folder


def _record(folder: Path) -> None:
    _edit(folder, files={name: asdict(record) for name, record in record_files(folder).items()})


def _edit(folder: Path, **changes: object) -> None:
    """Set fields of the manifest; None leaves one out."""
    manifest = folder / "mirrorkit.json"
    fields = {**json.loads(manifest.read_text(encoding="utf-8")), **changes}
    kept = {name: value for name, value in fields.items() if name not in changes or value is not None}
    manifest.write_text(json.dumps(kept), encoding="utf-8")


def test_check_passes_and_finds_what_differs(built: Path, bundle: Path, environment: dict[str, str]) -> None:
    cli = built / "mirrorkit-cli"
    out = succeed([cli, "check", bundle, "--threads", "1"], env=environment).decode()
    assert "token ids: 0 differ" in out
    assert "passed" in out
    golden = bundle / "golden.jsonl"
    lines = [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]
    lines[2]["embedding"][5] += 1e-3
    lines[3]["input_ids"][1] += 1
    golden.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    _record(bundle)
    done = run([cli, "check", bundle, "--threads", "1"], env=environment)
    assert done.returncode == 1
    assert b"token ids: 1 differ" in done.stdout
    assert b"FAILED" in done.stdout


def test_check_judges_int8_as_the_exporter_does(built: Path, bundle: Path, environment: dict[str, str]) -> None:
    cli, golden = built / "mirrorkit-cli", bundle / "golden.jsonl"
    repeated = next(i for i, text in enumerate(REAL_TEXTS) if text == "- " * 40)
    lines = [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]
    lines[repeated]["embedding"] = [-value for value in lines[repeated]["embedding"]]  # as far off as can be
    golden.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    _record(bundle)
    assert run([cli, "check", bundle, "--threads", "1"], env=environment).returncode == 1
    variants = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))["variants"]
    _edit(bundle, variants={"int8": {**variants["fp32"], "precision": "int8"}}, preference={"cpu": ["int8"]})
    out = succeed([cli, "check", bundle, "--threads", "1"], env=environment).decode()
    assert out.startswith(f"int8: {len(lines)} texts")
    assert "not judged: 1 texts" in out
    lines[2]["embedding"] = [-value for value in lines[2]["embedding"]]
    golden.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    _record(bundle)
    assert run([cli, "check", bundle, "--threads", "1"], env=environment).returncode == 1


def test_the_bundle_says_which_variant_is_the_best(built: Path, bundle: Path, environment: dict[str, str]) -> None:
    cli = built / "mirrorkit-cli"
    plain = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))["variants"]["fp32"]
    several = {"fp32": plain, "fp32-fused": plain, "fp16": {**plain, "precision": "fp16"}}
    for preference, wanted, chosen in (
        ({"cpu": ["int8", "fp16", "fp32-fused", "fp32"]}, "auto", "fp16"),
        ({"cpu": ["fp16", "fp32-fused", "fp32"]}, "fp32", "fp32-fused"),
        ({"cpu": ["fp32", "fp32-fused"]}, "fp32", "fp32"),
        ({"cuda": ["fp16"]}, "auto", "fp32-fused"),
        (None, "auto", "fp32-fused"),
    ):
        _edit(bundle, variants=several, preference=preference)
        out = succeed([cli, "check", bundle, "--variant", wanted, "--threads", "1"], env=environment).decode()
        assert out.startswith(f"{chosen}: ")


def test_vectors_are_those_of_the_python_runtime(
    built: Path, bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    from mirrorkit.runtime.encoder import Encoder

    texts = [text.replace("\n", " ") for text in REAL_TEXTS]
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    expected = Encoder(bundle, threads=1).encode(texts)
    command: list[str | Path] = [
        built / "mirrorkit-cli",
        "encode",
        bundle,
        "--threads",
        "1",
        "--input",
        tmp_path / "in.txt",
    ]
    succeed([*command, "--format", "npy", "--output", tmp_path / "out.npy"], env=environment)
    got = np.load(tmp_path / "out.npy")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE)
    rows = succeed(command, env=environment).decode().splitlines()
    np.testing.assert_array_equal(np.array([row.split("\t") for row in rows], dtype=np.float32), got)


def test_bench_measures_what_it_says(built: Path, bundle: Path, environment: dict[str, str]) -> None:
    command: list[str | Path] = [built / "mirrorkit-cli", "bench", bundle, "--threads", "1", "--repeat", "1"]
    out = succeed(command, env=environment).decode()
    assert [line.split("  ")[0] for line in out.splitlines()[1:]] == [
        "tokenization",
        "tokens",
        "one by one",
        "batches",
        "memory",
    ]


def test_the_c_api_takes_bad_input_without_a_crash(built: Path, bundle: Path) -> None:
    assert succeed([built / "tests" / "api_test", bundle, onnxruntime_library()]) == b"ok\n"


def test_many_threads_share_an_encoder(built: Path, bundle: Path) -> None:
    assert succeed([built / "tests" / "threads_test", bundle, onnxruntime_library()]) == b"ok\n"


def test_pkg_config_knows_the_installed_package(built: Path, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("needs pkg-config")
    succeed(["cmake", "--install", built, "--prefix", tmp_path])
    (found,) = tmp_path.glob("lib*/**/mirrorkit.pc")
    flags = succeed(["pkg-config", "--cflags", "--libs", "mirrorkit"], env={"PKG_CONFIG_PATH": str(found.parent)})
    (tmp_path / "main.c").write_text("#include <mirrorkit.h>\nint main(void) { return mirrorkit_dim(NULL); }\n")
    program = tmp_path / "main"
    succeed(["c++", "-x", "c", tmp_path / "main.c", "-x", "none", "-o", program, *flags.decode().split()])
    succeed([program], env={"LD_LIBRARY_PATH": str(found.parents[1])})


def _flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def _lead_out(bundle: Path, name: str) -> None:
    shutil.copyfile(bundle / "onnx" / "model.onnx", bundle.parent / "outside.onnx")
    value = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))
    value["variants"]["fp32"]["file"] = name
    value["files"][name] = value["files"]["onnx/model.onnx"]
    _edit(bundle, **value)


def _link_out(file: Path, outside: Path) -> None:
    shutil.move(file, outside)
    file.symlink_to(outside)


def _replace(bundle: Path, name: str, content: bytes, *, record: bool) -> None:
    (bundle / name).write_bytes(content)
    if record:
        _record(bundle)


GRAPH = "onnx/model.onnx"
DAMAGE: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda b: (b / "mirrorkit.json").unlink(),
    "manifest cut": lambda b: (b / "mirrorkit.json").write_bytes((b / "mirrorkit.json").read_bytes()[:100]),
    "manifest deep": lambda b: (b / "mirrorkit.json").write_text("[" * 100_000, encoding="utf-8"),
    "manifest of a later schema": lambda b: _edit(b, schema_version=99),
    "dim is a text": lambda b: _edit(b, dim="256"),
    "dim is another": lambda b: _edit(b, dim=255),
    "max_length too small": lambda b: _edit(b, max_length=1),
    "mean-padded": lambda b: _edit(b, pooling="mean-padded"),
    "no variants": lambda b: _edit(b, variants={}),
    "preference is a list": lambda b: _edit(b, preference=["fp32"]),
    "preference of numbers": lambda b: _edit(b, preference={"cpu": [1]}),
    "tokenizer missing": lambda b: (b / "tokenizer.json").unlink(),
    "tokenizer of another size": lambda b: _replace(b, "tokenizer.json", b"{}", record=False),
    "tokenizer changed": lambda b: _flip(b / "tokenizer.json"),
    "tokenizer recorded but wrong": lambda b: _replace(b, "tokenizer.json", b"[]", record=True),
    "graph missing": lambda b: (b / GRAPH).unlink(),
    "graph changed": lambda b: _flip(b / GRAPH),
    "graph recorded but wrong": lambda b: _replace(b, GRAPH, b"no graph" * 9, record=True),
    "a path out of the bundle": lambda b: _lead_out(b, "../outside.onnx"),
    "an absolute path": lambda b: _lead_out(b, str(b.parent / "outside.onnx")),
    "a link out of the bundle": lambda b: _link_out(b / GRAPH, b.parent / "outside.onnx"),
    "a manifest that is a link out of it": lambda b: _link_out(b / "mirrorkit.json", b.parent / "outside.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_bundle_is_an_error(damage: str, built: Path, bundle: Path, environment: dict[str, str]) -> None:
    DAMAGE[damage](bundle)
    done = run([built / "mirrorkit-cli", "encode", bundle, "--threads", "1"], data=b"text\n", env=environment)
    assert done.returncode == 2
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("mirrorkit-cli: ")


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["ON", "OFF"])
def test_a_project_builds_with_the_installed_package(
    shared: str, built: Path, bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    prefix, project = tmp_path / "prefix", tmp_path / "consumer"
    succeed(["cmake", "-S", SOURCE, "-B", built, f"-DBUILD_SHARED_LIBS={shared}"])
    succeed(["cmake", "--build", built, "-j", "1"], minutes=15)
    succeed(["cmake", "--install", built, "--prefix", prefix])
    shutil.copytree(ROOT / "tests" / "cpp" / "consumer", project)
    (project / "main.c").write_text(example("mirrorkit.h", " *   "), encoding="utf-8")
    (project / "main.cpp").write_text(example("mirrorkit.hpp", "//   "), encoding="utf-8")
    succeed(["cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}"])
    succeed(["cmake", "--build", project / "build"])
    printed = []
    for program in ("in_c", "in_cpp"):
        done = run(["sh", "-c", f"cd '{bundle.parent}' && '{project}/build/{program}'"], env=environment)
        assert done.returncode == 0, done.stderr
        printed.append(float(done.stdout))
    assert printed[0] == pytest.approx(printed[1], abs=1e-5)
    assert -1 <= printed[0] < 0.99
