"""ONNX Runtime reports nothing to anybody: no file that was not asked for, no connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from tests.bundles import make_foreign
from tests.faults.small import small_model

CODE = "import sys, mirrorkit; mirrorkit.Encoder(sys.argv[1]).encode(['a text', 'another'])"


def run(home: Path, *command: str, **more: str) -> None:
    dropped = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    env.update(HOME=str(home), PYTHONDONTWRITEBYTECODE="1", **more)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def bundle(tmp_path: Path, tiny: Path) -> Path:
    return make_foreign(tmp_path / "bundle", tiny / "tokenizer.json")


def test_a_fresh_home_stays_empty(home: Path, bundle: Path) -> None:
    run(home, sys.executable, "-c", CODE, str(bundle))
    assert list(home.iterdir()) == []


def test_who_asks_for_it_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os, mirrorkit; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, found in (("0", "0"), ("1", "1")):
        env = {**os.environ, "ORT_DISABLE_TELEMETRY": given}
        assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True).strip() == found


@pytest.fixture
def watched(tmp_path: Path) -> list[str]:
    """Return a command that runs another and notes its connections in the file `trace`."""
    # By BPF the kernel stops at these two calls alone, not at every one.
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto", "-o", str(tmp_path / "trace")]
    if not shutil.which("strace") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs strace, and that it may trace here")
    return command


def test_nothing_connects(home: Path, bundle: Path, tmp_path: Path, watched: list[str]) -> None:
    run(home, *watched, sys.executable, "-c", CODE, str(bundle))
    assert "AF_INET" not in (tmp_path / "trace").read_text(encoding="utf-8")


@pytest.mark.slow
def test_nothing_connects_from_a_text_to_vectors(home: Path, tiny: Path, tmp_path: Path, watched: list[str]) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    small_model(tmp_path / "base", tiny)
    (tmp_path / "texts.txt").write_text("".join(f"text {i}\n" for i in range(8)), encoding="utf-8")
    base, texts, model, out = (str(tmp_path / name) for name in ("base", "texts.txt", "model", "bundle"))
    for command in (
        ["finetune", base, texts, "-o", model, "--epochs", "1", "--max-length", "8", "--device", "cpu"],
        ["export", model, "-o", out, "--variants", "fp32", "--no-optimize"],
        ["encode", out, texts, "-o", str(tmp_path / "vectors.npy")],
    ):
        run(home, *watched, sys.executable, "-m", "mirrorkit", *command, HF_HUB_OFFLINE="0")
        assert "AF_INET" not in (tmp_path / "trace").read_text(encoding="utf-8"), command[0]
    assert list(home.iterdir()) == []
