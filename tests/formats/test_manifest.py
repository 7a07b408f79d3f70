"""Every manifest of the table is read, or refused in one line; tests/web and tests/cpp hold the other readers to it."""

from __future__ import annotations

from pathlib import Path

from mirrorkit.errors import BundleError
from mirrorkit.formats.bundle import read_bundle
from tests.formats.manifests import judged, write_cases


def test_what_a_manifest_may_say(tmp_path: Path) -> None:
    def said(place: str) -> str:
        try:
            read_bundle(Path(place), complete=True)
        except BundleError as err:
            return str(err)
        return ""

    assert judged(write_cases(tmp_path), said) == []
