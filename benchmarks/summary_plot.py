"""Draw the two figures that sum it up, for the README: what a fine-tune gives, and how fast its export is."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.peers.report import speeds
from benchmarks.record import Figures
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

OURS, OTHERS, START = "#c2410c", "#64748b", "#cbd5e1"
# Whom a newcomer knows; the whole field is in the tables. Static vectors would be far off to the right.
SHOWN = (
    "sentence-transformers torch",
    "sentence-transformers ONNX",
    "sentence-transformers qint8",
    "fastembed",
    "OpenVINO int8",
    "mirrorkit fp32-fused",
    "mirrorkit int8-fused",
)


def draw(quality: Figures, peers: Figures, file: Path) -> None:
    """Write a PNG of both to `file`."""
    figure = Figure(figsize=(5.6, 4.1), dpi=120)  # high rather than wide: it must be legible on a phone
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 2.6))
    before = quality["before"]["average"]
    labels = [f"{quality['mean']:.1f} ± {quality['spread']:.1f}", f"{before:.1f}"]
    names = [f"{quality['steps']} steps on raw text", "masked LM as it is"]
    _bars(top, names, [quality["mean"], before], labels, [OURS, START])
    top.set_title("STS average, Spearman × 100", fontsize=10, loc="left")
    shown = [name for name in SHOWN if name in peers["runs"]][::-1]
    medians = [statistics.median(speeds(peers, name)) for name in shown]
    colors = [OURS if name.startswith("mirrorkit") else OTHERS for name in shown]
    _bars(bottom, shown, medians, [f"{value:,.0f}" for value in medians], colors)
    bottom.set_title(
        f"Sentences per second, {peers['hardware']['cpu']}, {peers['threads']} threads", fontsize=10, loc="left"
    )
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _bars(panel: Any, names: list[str], values: list[float], labels: list[str], colors: list[str]) -> None:
    bars = panel.barh(names, values, 0.7, color=colors)
    panel.bar_label(bars, labels, padding=3, fontsize=10)
    panel.set_xlim(0, max(values) * 1.3)
    panel.set_xticks([])
    panel.tick_params(length=0, labelsize=10)
    panel.spines[["top", "right", "bottom"]].set_visible(False)
