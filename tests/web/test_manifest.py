"""JavaScript reads the manifests that Python reads, and refuses the same ones, in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.formats.manifests import judged, write_cases


def test_what_a_manifest_may_say(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    verdicts = write_cases(tmp_path)
    command = [node, str(Path(__file__).with_name("verdicts.mjs")), *verdicts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = dict(zip(verdicts, map(json.loads, done.stdout.splitlines()), strict=True))
    assert judged(verdicts, said.__getitem__) == []
