"""Draw who resembles whom before and after the fine-tune: two heat maps with one colour bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.demo.measure import Snapshot, TopicMap
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DOTS_PER_INCH = 130


def draw(file: Path, topics: Mapping[str, Sequence[str]], before: Snapshot, after: Snapshot) -> None:
    """Write a PNG of the similarities of the sentences of `topics` to `file`."""
    figure = Figure(figsize=(12.5, 5.9), layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no display is needed and no global state is left behind
    lowest = min(0.0, float(before.topics.cosines.min()), float(after.topics.cosines.min()))
    figure.suptitle(
        f"Cosine similarity of {len(before.topics.cosines)} sentences in {len(topics)} topics\n"
        f"Spearman × 100 on {after.graded.pairs} graded pairs: "
        f"{before.graded.spearman:.1f} before, {after.graded.spearman:.1f} after",
        fontsize=14,
    )
    panels = figure.subplots(1, 2)
    for panel, name, snapshot in zip(panels, ("before", "after"), (before, after), strict=True):
        image = _heat_map(panel, name, topics, snapshot.topics, lowest)
    panels[0].set_yticks(range(len(before.topics.cosines)), [text for texts in topics.values() for text in texts])
    panels[0].tick_params(axis="y", length=0, labelsize=11)
    figure.colorbar(image, ax=panels, label="cosine", shrink=0.8)  # both panels have the same scale
    figure.savefig(file, dpi=_DOTS_PER_INCH)


def _heat_map(panel: Any, name: str, topics: Mapping[str, Sequence[str]], shown: TopicMap, lowest: float) -> Any:
    image = panel.imshow(shown.cosines, vmin=lowest, vmax=1.0, cmap="viridis")
    ends = np.cumsum([len(texts) for texts in topics.values()])
    middles = ends - np.array([len(texts) for texts in topics.values()]) / 2 - 0.5
    for end in ends[:-1]:
        panel.axhline(end - 0.5, color="white", linewidth=2)
        panel.axvline(end - 0.5, color="white", linewidth=2)
    for (row, column), cosine in np.ndenumerate(shown.cosines):
        shade = "black" if (cosine - lowest) / (1 - lowest) > 0.6 else "white"
        panel.text(column, row, f"{cosine:.1f}", ha="center", va="center", fontsize=8, color=shade)
    panel.set_xticks(middles, list(topics), fontsize=11)
    panel.set_yticks([])
    panel.tick_params(length=0)
    panel.set_title(name, fontsize=13, fontweight="bold")
    panel.set_xlabel(
        f"mean cosine: same topic {shown.same_topic:.2f}, other topics {shown.other_topic:.2f}", fontsize=11
    )
    return image
