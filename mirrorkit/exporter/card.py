"""README.md of a bundle: what it holds, how large, how true to the original, and how to load it."""

from __future__ import annotations

from typing import Any

from mirrorkit.bundle import Bundle, Graph, Variant
from mirrorkit.layout import Pooling

_USE_POOLING = {Pooling.CLS: "CLS", Pooling.MEAN: "MEAN"}


def bundle_card(bundle: Bundle, name: str, model: str, sizes: dict[str, int], training: dict[str, str]) -> str:
    """Return the card. `sizes` are bytes by file, `training` the rows of the fine-tune's own card."""
    return "\n".join(
        [
            *("---", "library_name: sentence-transformers", "pipeline_tag: sentence-similarity", "tags:"),
            *("- sentence-transformers", "- feature-extraction", "- onnx", "- mirrorkit", "---"),
            f"# {name}",
            "",
            f"{model} as ONNX graphs, each verified against the original: vectors of {bundle.dim} dimensions and unit "
            f"length, {bundle.pooling} pooling, text cut at {bundle.max_length} tokens.",
            "",
            *_table(bundle, sizes),
            *_legend(bundle),
            *_trim(bundle),
            *_training(training),
            *_use(bundle, name),
        ]
    )


def _table(bundle: Bundle, sizes: dict[str, int]) -> list[str]:
    head = ["variant", "file", "MB", "runs in", "cosine mean", "lowest", "max abs", "Spearman", "top 10", "batch"]
    lines = ["## Variants", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for variant in bundle.variants.values():
        r = variant.report
        cells = [
            variant.name,
            variant.file,
            f"{sizes[variant.file] / 1e6:.1f}",
            "ONNX Runtime" if variant.graph is Graph.ONNXRUNTIME else "any ONNX runtime",
            f"{r['cosine_mean']:.6f}",
            f"{r['cosine_min']:.6f}",
            f"{r['max_abs']:.1e}",
            f"{r['spearman']:.5f}",
            f"{r['overlap']:.3f}",
            f"{r['invariance']:.1e}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _legend(bundle: Bundle) -> list[str]:
    texts = max(int(v.report["texts"]) for v in bundle.variants.values())
    source = bundle.provenance["calibration"]
    overridden = [v for v in bundle.variants.values() if v.report["overridden"]]
    return [
        f"Measured on {texts} texts ({source['name']}, and strings that break encoders) against the fp32 vectors of "
        "torch: cosine of a text's two vectors, mean and lowest; largest difference of a component; rank correlation "
        "of all pairwise similarities; share of the 10 nearest neighbours kept; largest change of a component by what "
        "else is in the batch or by padding. golden.jsonl holds some of these texts with ids and vectors.",
        "",
        *(_overridden(variant) for variant in overridden),
        *_shared(bundle),
    ]


def _overridden(variant: Variant) -> str:
    limits = ", ".join(f"{n} {variant.report['allowed'][n]:g}" for n in variant.report["overridden"])
    return f"{variant.name} was published with limits of the user's own: {limits}.\n"


def _shared(bundle: Bundle) -> list[str]:
    shared = [v for v in bundle.variants.values() if v.data_files]
    return [f"{v.file} reads weights from {', '.join(v.data_files)}: copy them together.\n" for v in shared]


def _trim(bundle: Bundle) -> list[str]:
    trim = bundle.provenance.get("trim")
    if not trim:
        return []
    how = "" if trim["min_count"] == 1 else f" at least {trim['min_count']} times"
    return [
        "## Vocabulary",
        "",
        f"Trimmed from {trim['vocabulary_before']:,} to {trim['vocabulary_after']:,} entries, the weights from "
        f"{trim['bytes_before'] / 1e6:.1f} to {trim['bytes_after'] / 1e6:.1f} MB (fp32): special tokens, single "
        f"characters, and what {trim['texts']:,} texts ({trim['corpus']}) use{how}. Any text still encodes; "
        f"{trim['unchanged']:.2%} of those texts are cut into the same pieces and keep their vectors. Other texts are "
        f"spelled in other pieces: over {trim['built_in_texts']} of them the mean cosine to the model as it was is "
        f"{trim['cosine_mean']:.4f}, the lowest {trim['cosine_min']:.4f}; on mirrorkit's graded pairs the Spearman "
        f"correlation × 100 went from {trim['graded_before']:.2f} to {trim['graded_after']:.2f}.",
        "",
        *_own_trim_limits(trim),
    ]


def _own_trim_limits(trim: dict[str, Any]) -> list[str]:
    limits = ", ".join(f"{name} {trim['limits'][name]:g}" for name in trim["overridden"])
    return [f"It was published with limits of the user's own: {limits}.", ""] if limits else []


def _training(rows: dict[str, str]) -> list[str]:
    if not rows:
        return []
    return ["## Training", "", "| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items()), ""]


def _use(bundle: Bundle, name: str) -> list[str]:
    texts = '["a first sentence", "a second one"]'
    blocks = [
        ["from mirrorkit import Encoder", "", f'vectors = Encoder("{name}").encode({texts})'],
        [
            "from sentence_transformers import SentenceTransformer",
            "",
            f'vectors = SentenceTransformer("{name}").encode({texts})',
        ],
    ]
    pooling = _USE_POOLING.get(bundle.pooling)
    if pooling and "fp32" in bundle.variants:
        blocks.append(
            [
                "from fastembed import TextEmbedding",
                "from fastembed.common.model_description import ModelSource, PoolingType",
                "",
                "TextEmbedding.add_custom_model(",
                f'    "{name}", pooling=PoolingType.{pooling}, normalization=True, dim={bundle.dim},',
                f'    sources=ModelSource(hf="local/{name}"), model_file="onnx/model.onnx",',
                ")",
                f'vectors = list(TextEmbedding("{name}", specific_model_path="{name}").embed({texts}))',
            ]
        )
    lines = ["## Use", ""]
    for block in blocks:
        lines += ["```python", *block, "```", ""]
    if pooling:
        lines += [
            "```js",
            f'const extract = await pipeline("feature-extraction", "{name}", {{ dtype: "fp32" }});',
            f'const vectors = await extract({texts}, {{ pooling: "{bundle.pooling}", normalize: true }});',
            "```",
            "",
        ]
    return lines
