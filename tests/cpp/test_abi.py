"""A program and a library of different releases: neither touches a byte of the other's that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

import mirrorkit
from tests.bundles import bundle_of
from tests.cpp.building import ROOT, SOURCE, onnxruntime_library, require_tools, succeed

pytestmark = pytest.mark.cpp

STRUCTS = ("mirrorkit_params", "mirrorkit_options", "mirrorkit_reader")
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="needs the export extra")
    return bundle_of(tiny, ["fp32"], tmp_path_factory)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the mirrorkit.h of a later release: each struct has grown."""
    folder = tmp_path_factory.mktemp("newer")
    text = (SOURCE / "include" / "mirrorkit.h").read_text(encoding="utf-8")
    for struct in STRUCTS:
        assert text.count(f"}} {struct};") == 1
        text = text.replace(f"}} {struct};", f"  int64_t newer[4];\n}} {struct};")
    (folder / "mirrorkit.h").write_text(text, encoding="utf-8")
    return folder


def program(header: Path, library: Path, out: Path, *flags: str) -> Path:
    source = ROOT / "tests" / "cpp" / "abi_test.c"
    succeed(["cc", *STRICT, *flags, f"-I{header}", source, library, f"-Wl,-rpath,{library.parent}", "-o", out])
    return out


def test_a_program_of_the_same_release(built: Path, bundle: Path, tmp_path: Path) -> None:
    own = program(SOURCE / "include", built / "libmirrorkit.so", tmp_path / "own")
    assert succeed([own, bundle, onnxruntime_library()]) == b"ok\n"


def test_a_newer_program_runs_with_this_library(built: Path, bundle: Path, newer: Path, tmp_path: Path) -> None:
    own = program(newer, built / "libmirrorkit.so", tmp_path / "own", "-DNEWER")
    assert succeed([own, bundle, onnxruntime_library()]) == b"ok\n"


def test_a_newer_library_runs_with_this_program(built: Path, bundle: Path, newer: Path, tmp_path: Path) -> None:
    headers = next(require_tools().glob("include/**/onnxruntime_c_api.h")).parent
    rebuilt = ("c_api", "c_open")  # the only ones that see the structs
    kept = [
        file
        for file in (built / "CMakeFiles" / "mirrorkit_objects.dir" / "src").glob("*.o")
        if file.name.split(".")[0] not in rebuilt
    ]
    assert len(kept) > 20
    includes: list[str | Path] = [f"-I{newer}", f"-I{SOURCE / 'src'}", "-isystem", headers]
    flags = ["-std=c++17", "-O0", "-fPIC", "-shared", f'-DMIRRORKIT_VERSION="{mirrorkit.__version__}"']
    sources = [SOURCE / "src" / f"{name}.cpp" for name in rebuilt]
    library = tmp_path / "libmirrorkit.so"
    succeed(["c++", *flags, *includes, *sources, *kept, "-ldl", "-o", library])
    own = program(SOURCE / "include", library, tmp_path / "own")
    assert succeed([own, bundle, onnxruntime_library()]) == b"ok\n"
