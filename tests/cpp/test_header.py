"""mirrorkit.h is C11 and mirrorkit.hpp C++17, and the examples at their tops compile without a warning."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cpp.building import SOURCE, example, succeed

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
