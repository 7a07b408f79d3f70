"""mirrorkit.h is C11 and C++ without exceptions, mirrorkit.hpp C++17; the examples at their tops compile in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cpp.building import SOURCE, example, run, succeed

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only"]


@pytest.mark.parametrize(
    ("compiler", "language", "header", "prefix"),
    [("cc", "c11", "mirrorkit.h", " *   "), ("c++", "c++17", "mirrorkit.hpp", "//   ")],
)
def test_the_example_compiles(compiler: str, language: str, header: str, prefix: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    kind = "c" if compiler == "cc" else "c++"
    program = tmp_path / "main"
    program.write_text(example(header, prefix), encoding="utf-8")
    succeed([compiler, f"-std={language}", *STRICT, f"-I{SOURCE / 'include'}", "-x", kind, program])


@pytest.mark.parametrize("compiler", ["c++", "clang++"])
def test_a_program_without_exceptions_has_the_c_header(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    command = [compiler, "-std=c++17", *STRICT, "-fno-exceptions", "-fno-rtti", f"-I{SOURCE / 'include'}", "-x", "c++"]
    program = example("mirrorkit.h", " *   ").replace("malloc(", "(float *)malloc(")  # as C++ wants it
    (tmp_path / "c").write_text(program, encoding="utf-8")
    succeed([*command, tmp_path / "c"])
    (tmp_path / "cpp").write_text("#include <mirrorkit.hpp>\n", encoding="utf-8")
    done = run([*command, tmp_path / "cpp"])
    assert done.returncode != 0
    assert b"without exceptions use mirrorkit.h" in done.stderr
