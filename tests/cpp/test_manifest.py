"""C++ reads the manifests that Python reads, and refuses the same ones, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpp.building import succeed
from tests.formats.manifests import judged, write_cases

pytestmark = pytest.mark.cpp


def test_what_a_manifest_may_say(built: Path, tmp_path: Path) -> None:
    verdicts = write_cases(tmp_path)
    out = succeed([built / "tests" / "verdicts", *verdicts]).decode()
    said = dict(zip(verdicts, out.split("\0")[:-1], strict=True))
    assert judged(verdicts, said.__getitem__) == []
