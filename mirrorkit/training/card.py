"""The model card that is saved beside the weights."""

from __future__ import annotations

import statistics
from datetime import datetime, timezone

from mirrorkit.environment import cpu_name, usable_cores, versions
from mirrorkit.evaluation.sts import StsReport
from mirrorkit.extras import require
from mirrorkit.training.result import FinetuneResult

require("torch", extra="train")
import torch


def model_card(result: FinetuneResult) -> str:
    """Return README.md: what was trained on what, how, with which scores, and how to use it."""
    recipe, corpus, stats = result.recipe, result.corpus, result.stats
    front = ["---", "library_name: sentence-transformers", "pipeline_tag: sentence-similarity"]
    if "/" in result.base:  # only a hub id may stand there
        front.append(f"base_model: {result.base}")
    front += ["tags:", "- sentence-transformers", "- feature-extraction", "- mirror-bert", "- mirrorkit", "---"]
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
            f"| base | {result.base} |",
            f"| recipe | {result.recipe_name} |",
            f"| corpus | {corpus.name}, {corpus.size:,} bytes, {len(corpus):,} "
            f"{'pairs' if corpus.partners is not None else 'strings'} used |",
            f"| corpus sha256 | {corpus.sha256} |",
            f"| pooling | {recipe.pooling}, then L2 normalisation |",
            f"| maximum length | {result.encoder.max_length} tokens (trained on strings cut to {recipe.max_length}) |",
            f"| seed | {result.runs[0].seed} |",
            f"| hyper-parameters | {_hyper_parameters(result)} |",
            f"| training | {stats.steps} steps, {stats.pairs:,} pairs, {stats.train_seconds:.1f} s at "
            f"{result.pairs_per_second:.0f} pairs/s, {stats.precision} |",
            f"| hardware | {_hardware(stats.device)} |",
            f"| versions | {', '.join(f'{k} {v}' for k, v in _versions().items())} |",
            f"| date | {datetime.now(timezone.utc):%Y-%m-%d} |",
            "",
            *_scores(result),
            *_usage(name, result),
        ]
    )


def _hyper_parameters(result: FinetuneResult) -> str:
    r = result.recipe
    rate = f"lr {r.learning_rate:g}" + (f" (warm-up {r.warmup:g}, then linear decay)" if r.decay else "")
    return (
        f"{r.epochs} epoch{'s' * (r.epochs > 1)}, batch {r.batch_size}, {rate}, weight decay {r.weight_decay:g}, "
        f"temperature {r.temperature:g}, dropout {r.dropout:g}, drophead {r.drophead:g}, "
        f"span mask {r.span_mask} characters in strings of {r.mask_from} and more"
    )


def _hardware(device: str) -> str:
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return f"{cpu_name()}, {usable_cores()} cores, {torch.get_num_threads()} threads"


def _versions() -> dict[str, str]:
    return versions("mirrorkit", "torch", "transformers", "tokenizers")


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


def _score(report: StsReport, task: str) -> str:
    return f"{report.tasks[task].spearman:.2f}"


def _usage(name: str, result: FinetuneResult) -> list[str]:
    texts = '["a first sentence", "a second one"]'
    lines = [
        "## Use",
        "",
        "```python",
        "from mirrorkit import SentenceEncoder",
        "",
        f'vectors = SentenceEncoder.load("{name}").encode({texts})  # float32 [2, {result.encoder.dim}], unit length',
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
