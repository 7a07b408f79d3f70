"""What carries the library to others, each used as they would use it: Conan's recipe, the Python wheel.

`make test-cpp-all` names the programs of an environment with conan, scikit-build-core, ziglang and auditwheel in
MIRRORKIT_PACKAGERS.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import mirrorkit
from tests.conftest import REAL_TEXTS
from tests.cpp.building import SOURCE, onnxruntime_library, require_tools, succeed

pytestmark = [pytest.mark.slow, pytest.mark.cpp]

MAIN = SOURCE / "packages" / "conan" / "main.c"
CONSUMER = SOURCE / "packages" / "conan" / "CMakeLists.txt"


def packagers() -> Path:
    """Return the folder of the packagers' programs; skip without."""
    folder = os.environ.get("MIRRORKIT_PACKAGERS", "")
    if not folder:
        pytest.skip("needs MIRRORKIT_PACKAGERS")
    return Path(folder)


def test_conan_builds_it_and_a_project_that_requires_it(tmp_path: Path) -> None:
    conan, headers = packagers() / "conan", require_tools().resolve()
    env = {"CONAN_HOME": str(tmp_path / "home")}
    succeed([conan, "profile", "detect"], env=env)
    # Conan's server may be out of reach; the JSON header is here, and whose it is makes no difference.
    with (tmp_path / "home" / "profiles" / "default").open("a", encoding="utf-8") as profile:
        profile.write("\n[platform_requires]\nnlohmann_json/3.11.2\n")
    command: list[str | Path] = [conan, "create", SOURCE, "-nr", "-s", "build_type=Debug", "-s", "compiler.cppstd=17"]
    out = succeed([*command, "-c", f"user.mirrorkit:onnxruntime={headers}"], env=env, minutes=20)
    assert f"mirrorkit {mirrorkit.__version__}\n".encode() in out


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of mirrorkit-native for this machine: the one in MIRRORKIT_NATIVE_WHEEL, or one built here."""
    if given := os.environ.get("MIRRORKIT_NATIVE_WHEEL"):
        return Path(given)
    out, headers = tmp_path_factory.mktemp("wheel"), require_tools().resolve()
    env = {"ZIG_GLOBAL_CACHE_DIR": str(SOURCE / "build" / "zig-cache")}
    target = f"{platform.machine()}-linux-gnu.2.17"
    succeed([packagers() / "python", SOURCE / "tools" / "wheels.py", headers, out, target], env=env, minutes=20)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment_with_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with that wheel and nothing else."""
    home = tmp_path_factory.mktemp("environment")
    succeed([sys.executable, "-m", "venv", home])
    python = home / "bin" / "python"
    succeed([python, "-m", "pip", "install", "-q", "--no-index", wheel])
    return python


def test_the_wheel_is_for_any_python_of_a_linux_of_old(wheel: Path) -> None:
    assert re.fullmatch(
        rf"mirrorkit_native-{re.escape(mirrorkit.__version__)}-py3-none-\S*manylinux_2_17_\w+\.whl", wheel.name
    )


PROGRAM = """
import json, sys
from mirrorkit_native import Encoder, NativeError
encoder = Encoder(sys.argv[1], "fp32", onnxruntime=sys.argv[2], threads=1)
texts = json.load(sys.stdin)
vectors = encoder.encode(texts)
for wrong in ("\\ud800", 5):
    try:
        encoder.encode(["a", wrong])
    except NativeError as err:
        assert str(err).startswith("texts[1]: "), err
    else:
        raise AssertionError(wrong)
print(json.dumps([[encoder.token_ids(text) for text in texts], vectors.tolist(), encoder.dim, encoder.variant]))
"""


def test_python_gets_the_same_ids_and_vectors(environment_with_wheel: Path, tiny: Path, tmp_path: Path) -> None:
    from mirrorkit.runtime.encoder import Encoder
    from tests.lookups import lookup_bundle

    bundle = lookup_bundle(tmp_path / "bundle", tiny)
    data = json.dumps(REAL_TEXTS).encode()
    out = succeed([environment_with_wheel, "-c", PROGRAM, bundle, onnxruntime_library()], data=data)
    ids, vectors, dim, variant = json.loads(out)
    encoder = Encoder(bundle, "fp32", threads=1)
    expected = encoder._encoding.opened.tokenizer.ids(REAL_TEXTS)
    assert [expected[i].tolist() for i in range(len(REAL_TEXTS))] == ids
    np.testing.assert_allclose(np.array(vectors, dtype=np.float32), encoder.encode(REAL_TEXTS), rtol=0, atol=1e-6)
    assert (dim, variant) == (encoder.dim, "fp32")


def place(python: Path, option: str) -> str:
    return succeed([python, "-m", "mirrorkit_native", option]).decode().strip()


def test_a_project_in_c_finds_the_library_in_the_wheel(environment_with_wheel: Path, tmp_path: Path) -> None:
    shutil.copy(MAIN, tmp_path)
    shutil.copy(CONSUMER, tmp_path)
    found = f"-Dmirrorkit_DIR={place(environment_with_wheel, '--cmake-dir')}"
    succeed(["cmake", "-S", tmp_path, "-B", tmp_path / "build", found])
    succeed(["cmake", "--build", tmp_path / "build"])
    assert succeed([tmp_path / "build" / "app"]).decode() == f"mirrorkit {mirrorkit.__version__}\n"
    around = {"PKG_CONFIG_PATH": place(environment_with_wheel, "--pkg-config-dir")}
    flags = succeed(["pkg-config", "--cflags", "--libs", "mirrorkit"], env=around).decode().split()
    succeed(["cc", MAIN, "-o", tmp_path / "app", *flags])
    library = {"LD_LIBRARY_PATH": place(environment_with_wheel, "--library-dir")}
    assert succeed([tmp_path / "app"], env=library).decode() == f"mirrorkit {mirrorkit.__version__}\n"
    assert place(environment_with_wheel, "--version") == mirrorkit.__version__
