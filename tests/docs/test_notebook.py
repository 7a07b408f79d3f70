"""The notebook among the examples runs from top to bottom, and the outputs that it is kept with are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
from tests.docs.blocks import ROOT

NOTEBOOK = ROOT / "examples" / "first_minute.ipynb"
STEPS = 4  # here, of the notebook's 15


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def printed(notebook: Any) -> str:
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return "".join(out.get("text", "") for out in outputs)


def found(text: str) -> list[float]:
    """Return MRR@10 before and after."""
    return [float(value) for value in re.findall(r"MRR@10 (\d+\.\d)", text)]


def test_it_is_short_and_kept_with_its_outputs() -> None:
    notebook = read()
    assert sum(cell.source.count("\n") + 1 for cell in notebook.cells) < 80
    kinds = [out.output_type for cell in notebook.cells for out in cell.get("outputs", [])]
    assert "error" not in kinds
    assert "display_data" in kinds
    before, after = found(printed(notebook))
    assert after > before
    assert "/work/" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    pytest.importorskip("matplotlib", reason="needs the demo extra")
    pytest.importorskip("torch", reason="needs the train extra")
    kept, notebook = read(), read()
    for cell in notebook.cells:
        cell.source = cell.source.replace("steps=15", f"steps={STEPS}")
    (tmp_path / "mirrorkit").symlink_to(ROOT / "mirrorkit")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert f"{STEPS} steps" in printed(notebook)
    (before, after), (kept_before, kept_after) = found(printed(notebook)), found(printed(kept))
    assert before == pytest.approx(kept_before, abs=0.5)  # points
    assert before + 5 < after < kept_after + 2
    assert not list(tmp_path.glob("*.jsonl"))
