"""The page among the examples: it shows Python's cosine, anew as soon as somebody types."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the export extra")

from mirrorkit import Encoder
from tests.conftest import ROOT
from tests.lookups import lookup_bundle
from tests.web.chromium import Chromium, find_chromium
from tests.web.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.web]
SHOWN = "document.getElementById('cosine').textContent"
TYPED = """
  const field = document.getElementById('another');
  field.value = %r;
  field.dispatchEvent(new Event('input'));
"""


def test_the_example_shows_the_cosine_of_python(tmp_path: Path, tiny: Path) -> None:
    program = find_chromium()
    if program is None or shutil.which("npm") is None:
        pytest.skip("needs Chromium and npm")
    lookup_bundle(tmp_path / "bundle", tiny)
    page = ROOT / "examples" / "similarity.html"
    setup = ["bash", str(ROOT / "export" / "web" / "setup"), str(tmp_path / "bundle"), str(tmp_path / "site")]
    subprocess.run(setup, check=True, capture_output=True)
    shutil.copy(page, tmp_path / "site")
    encoder = Encoder(tmp_path / "bundle", "fp32")
    with Site(tmp_path / "site") as site, Chromium(program, tmp_path / "profile") as browser:
        browser.open(f"{site.address}similarity.html?variant=fp32", width=360)
        for another in ("Somebody plays an instrument.", "Shares fell."):
            if another == "Shares fell.":
                browser.evaluate(TYPED % another)
            first, second = encoder.encode(["A man is playing a guitar.", another])
            browser.wait(f"Math.abs({SHOWN} - {np.dot(first, second)}) < 2e-4")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # ONNX Runtime grumbles about this bundle's toy of a graph; nothing may be missing and nothing thrown.
        assert not [said for said in browser.complaints if "Failed to load" in said or "Error" in said]
