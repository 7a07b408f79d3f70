"""A process that may have little memory ends with one line, leaves nothing behind and never waits for ever."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mirrorkit.errors import MirrorkitError
from mirrorkit.extras import require

pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
pytest.importorskip("pyarrow", reason="needs the parquet extra")

from tests.bundles import make_foreign

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits as on Linux")

LEAST = 300  # MiB, with which ONNX Runtime can just be loaded

ENDED = (signal.SIGABRT, signal.SIGSEGV)
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) << 20,) * 2)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.argv = ["mirrorkit", *sys.argv[2:]]
from mirrorkit.cli.app import app
app(prog_name="mirrorkit")
"""


def limited(mebibytes: int, *command: object) -> tuple[int, str]:
    words = [sys.executable, "-c", LIMITED, str(mebibytes), *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [LEAST, 420, 505, 640, 700])
def test_a_file_is_encoded_or_not_at_all(tmp_path: Path, tiny: Path, mebibytes: int) -> None:
    bundle = make_foreign(tmp_path / "bundle", tiny / "tokenizer.json")
    texts, out = tmp_path / "texts.txt", tmp_path / "out" / "vectors.parquet"
    texts.write_text("one text\nanother\n", encoding="utf-8")
    code, said = limited(mebibytes, "encode", bundle, texts, "-o", out, "--variant", "fp32", "--threads", 1)
    left = {file.name for file in out.parent.glob("*")} - {".vectors.parquet.parts"}  # finished ones, to go on from
    if code == 0:
        assert left == {out.name}
    elif mebibytes == LEAST and -code in ENDED:  # the C library could not even load what unwinds its stack
        assert left == set()
    else:
        assert (code, left) == (2, set()), said
        assert re.fullmatch(r"mirrorkit: .*out of memory.*", said.splitlines()[-1])


@pytest.mark.parametrize("command", ["finetune", "eval"])
def test_what_torch_cannot_be_loaded_for_is_refused_at_once(tmp_path: Path, tiny: Path, command: str) -> None:
    words = tmp_path / "words.tsv"
    words.write_text("a\tb\t1\nc\td\t2\ne\tf\t3\n", encoding="utf-8")
    more = [words, "-o", tmp_path / "out"] if command == "finetune" else ["--lexical", words]
    code, said = limited(800, command, tiny, *more)
    assert (code, said.count("\n")) == (2, 1), said
    assert "torch takes 1400 MiB of address space, and this process is limited to 800 MiB" in said
    assert [file.name for file in tmp_path.iterdir()] == [words.name]


@pytest.mark.parametrize(
    "code", ["raise ImportError('libx.so: too old')", "raise ValueError('binary incompatibility')"]
)
def test_a_broken_package_is_told_from_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "brokenly.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MirrorkitError, match=r"brokenly is installed, but cannot be imported \((libx|binary)"):
        require("brokenly", extra="none")
