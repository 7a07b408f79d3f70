"""Other people's projects take the library in: vendored alone, fetched, static, in C alone, by pkg-config."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import mirrorkit
from tests.cpp.building import ROOT, SOURCE, require_tools, succeed

pytestmark = pytest.mark.cpp

MAIN = "#include <mirrorkit.h>\n#include <stdio.h>\nint main(void) { return puts(mirrorkit_version()) < 0; }\n"
# What a project sets itself and must find as it was: a plain ORT_ROOT, no kind of build, libraries that are static.
PARENT = """\
cmake_minimum_required(VERSION 3.18)
project(parent LANGUAGES C CXX)
set(ORT_ROOT "{headers}")
set(MIRRORKIT_INSTALL ON)
include(FetchContent)
FetchContent_Declare(mirrorkit SOURCE_DIR "${{CMAKE_SOURCE_DIR}}/vendored")
FetchContent_MakeAvailable(mirrorkit)
add_library(other other.c)
add_executable(app main.c)
target_link_libraries(app PRIVATE mirrorkit::mirrorkit)
foreach(target other mirrorkit)
  get_target_property(kind ${{target}} TYPE)
  message(STATUS "${{target}}: ${{kind}}")
endforeach()
message(STATUS "type <${{CMAKE_BUILD_TYPE}}> shared <${{BUILD_SHARED_LIBS}}> standard <${{CMAKE_CXX_STANDARD}}>")
"""
IN_C_ALONE = """\
cmake_minimum_required(VERSION 3.18)
project(in_c LANGUAGES C)
find_package(mirrorkit CONFIG REQUIRED)
add_executable(app main.c)
target_link_libraries(app PRIVATE mirrorkit::mirrorkit)
"""


def project(folder: Path, lists: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "CMakeLists.txt").write_text(lists, encoding="utf-8")
    (folder / "main.c").write_text(MAIN, encoding="utf-8")
    (folder / "other.c").write_text("int other(void) { return 2; }\n", encoding="utf-8")
    return folder


def version_of(program: Path) -> str:
    return succeed([program]).decode().strip()


@pytest.fixture(scope="module")
def vendored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Build a project that holds a copy of export/cpp and nothing else of the checkout; return it and what it told."""
    headers = require_tools("pkg-config")
    parent = project(tmp_path_factory.mktemp("projects") / "parent", PARENT.format(headers=headers.resolve()))
    shutil.copytree(SOURCE, parent / "vendored", ignore=shutil.ignore_patterns("build"))
    told = succeed(["cmake", "-S", parent, "-B", parent / "build", "-DCMAKE_CXX_FLAGS=-O0"]).decode()
    succeed(["cmake", "--build", parent / "build"], minutes=15)
    succeed(["cmake", "--install", parent / "build", "--prefix", parent / "prefix"])
    return parent, told


def test_a_part_of_another_project_leaves_that_as_it_is(vendored: tuple[Path, str]) -> None:
    parent, told = vendored
    assert version_of(parent / "build" / "app") == mirrorkit.__version__
    assert "other: STATIC_LIBRARY" in told
    assert "mirrorkit: STATIC_LIBRARY" in told
    assert "type <> shared <> standard <>" in told
    assert not list((parent / "build").rglob("mirrorkit-cli*"))


def test_a_project_in_c_alone_links_the_static_library(vendored: tuple[Path, str], tmp_path: Path) -> None:
    own = project(tmp_path / "own", IN_C_ALONE)
    succeed(["cmake", "-S", own, "-B", own / "build", f"-DCMAKE_PREFIX_PATH={vendored[0] / 'prefix'}"])
    succeed(["cmake", "--build", own / "build"])
    assert version_of(own / "build" / "app") == mirrorkit.__version__


def test_pkg_config_links_the_static_library(vendored: tuple[Path, str], tmp_path: Path) -> None:
    (found,) = (vendored[0] / "prefix").rglob("mirrorkit.pc")
    (tmp_path / "main.c").write_text(MAIN, encoding="utf-8")
    around = {"PKG_CONFIG_PATH": str(found.parent)}
    flags = succeed(["pkg-config", "--cflags", "--libs", "mirrorkit"], env=around).decode().split()
    succeed([os.environ.get("CC", "cc"), tmp_path / "main.c", "-o", tmp_path / "app", *flags])
    assert version_of(tmp_path / "app") == mirrorkit.__version__


def test_all_have_one_version() -> None:
    assert (SOURCE / "VERSION").read_text(encoding="utf-8").strip() == mirrorkit.__version__
    port = json.loads((SOURCE / "packages" / "vcpkg" / "mirrorkit" / "vcpkg.json").read_text(encoding="utf-8"))
    assert port["version"] == mirrorkit.__version__


def test_what_is_vendored_has_its_licence_with_it() -> None:
    assert (SOURCE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
