"""The model card that is saved beside the weights."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mirrorkit.evaluation.sts import StsReport
from mirrorkit.formats.card import carried, front_matter
from mirrorkit.formats.training_record import ChangeRecord
from mirrorkit.training.result import FinetuneResult

_THEIRS = ["sentence-transformers"]  # not said of what they cannot load


def model_card(result: FinetuneResult) -> str:
    """Return README.md, for people: what was trained on what, how, with which scores, and how to use it."""
    origin = result.encoder.origin
    front = front_matter(
        {
            **(carried(origin.folder, result.base) if origin else {}),
            "library_name": "mirrorkit" if result.module else "sentence-transformers",
            "pipeline_tag": "sentence-similarity",
            "tags": [*_THEIRS[result.module :], "feature-extraction", "mirror-bert", "mirrorkit"],
        }
    )
    name = result.out.name if result.out else "model"
    return "\n".join(
        [
            *front,
            f"# {name}",
            "",
            f"An encoder of {result.encoder.dim} dimensions: {result.base} after an identity fine-tune "
            "(Mirror-BERT, Liu et al. 2021) on raw text, without labels.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {label} | {value} |" for label, value in result.record().rows().items()),
            "",
            *_scores(result),
            *_changes(result),
            *_cuts(result),
            *_usage(name, result),
        ]
    )


def _scores(result: FinetuneResult) -> list[str]:
    before, after = result.before, result.after
    if before is None or after is None:
        return []
    rows = [f"| {task} | {_score(before, task)} | {_score(after, task)} |" for task in after.tasks]
    spread = ""
    if len(result.averages) > 1:
        mean, deviation = statistics.fmean(result.averages), statistics.stdev(result.averages)
        spread = f" Over {len(result.averages)} seeds the average after is {mean:.2f} ± {deviation:.2f}."
    return [
        "## Scores",
        "",
        f"Spearman correlation × 100 of cosine with human scores, before and after the fine-tune.{spread}",
        "",
        "| task | before | after |",
        "|---|---|---|",
        *rows,
        f"| **average** | {before.average:.2f} | **{after.average:.2f}** |",
        "",
    ]


def _changes(result: FinetuneResult) -> list[str]:
    if not result.changes:
        return []
    rows = [
        f"| {one.name} | {one.measure} | {one.items:,} | {one.before:.2f} | {one.after:.2f} | "
        f"{one.change:+.2f} ({one.low:+.2f} to {one.high:+.2f}) |"
        for one in result.changes
    ]
    return [
        "## Labelled sets",
        "",
        "× 100, before and after the fine-tune; in brackets the 95 % interval of the change, a paired bootstrap.",
        "",
        "| set | measure | items | before | after | change |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _cuts(result: FinetuneResult) -> list[str]:
    """Return the lengths that vectors may be cut to, and how good they are at each."""
    dims = result.recipe.cut_dims
    if not dims:
        return []
    lengths = [*dims, result.encoder.dim]
    rows = [
        f"| {one.name} | {one.measure} | "
        + " | ".join(f"{found.before:.2f} → {found.after:.2f}" for found in _at_each(result, one.name))
        + " |"
        for one in result.changes
    ]
    table = [
        "× 100, before → after the fine-tune, by the numbers that are kept:",
        "",
        f"| set | measure | {' | '.join(map(str, lengths))} |",
        f"|---|---|{'---|' * len(lengths)}",
        *rows,
        "",
    ]
    return [
        "## Shorter vectors",
        "",
        f"The first {_listed(dims)} numbers of a vector were trained to be one themselves (Matryoshka, "
        f"arXiv:2205.13147): keep so many (`truncate_dim={dims[0]}`) and bring what is left to unit length.",
        "",
        *(table if rows else []),
    ]


def _at_each(result: FinetuneResult, name: str) -> list[ChangeRecord]:
    every = [*(cut.changes for cut in result.cuts), result.changes]
    return [one for changes in every for one in changes if one.name == name]


def _listed(dims: Sequence[int]) -> str:
    *others, last = map(str, dims)
    return f"{', '.join(others)} or {last}" if others else last


def _score(report: StsReport, task: str) -> str:
    return f"{report.tasks[task].spearman:.2f}"


def _usage(name: str, result: FinetuneResult) -> list[str]:
    texts = '["a first sentence", "a second one"]'
    if result.module:
        return _usage_of_module(name, result, texts)
    lines = [
        "## Use",
        "",
        "```python",
        "from mirrorkit import SentenceEncoder",
        "",
        f'vectors = SentenceEncoder.load("{name}").encode({texts})  # float32 [2, {result.encoder.dim}]',
        "```",
        "",
    ]
    if result.recipe.pooling == "mean-padded":
        return [*lines, "sentence-transformers has no mean over padding, so it refuses this folder.", ""]
    return [
        *lines,
        "```python",
        "from sentence_transformers import SentenceTransformer",
        "",
        f'vectors = SentenceTransformer("{name}").encode({texts})',
        "```",
        "",
    ]


def _usage_of_module(name: str, result: FinetuneResult, texts: str) -> list[str]:
    module, _, kind = result.base.rpartition(".")
    pooling = "" if result.recipe.pooling == "mean" else f', pooling="{result.recipe.pooling}"'
    return [
        "## Use",
        "",
        "Only its own code can load it.",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "from mirrorkit import ModuleEncoder",
        *([] if module == "__main__" else [f"from {module} import {kind}"]),
        "",
        f'encoder = ModuleEncoder({kind}.load(Path("{name}")){pooling})',
        f"vectors = encoder.encode({texts})  # float32 [2, {result.encoder.dim}]",
        "```",
        "",
    ]
