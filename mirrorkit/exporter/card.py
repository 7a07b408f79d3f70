"""README.md of a bundle: what it holds, how large, how true to the original, and how to load it."""

from __future__ import annotations

from collections.abc import Mapping

from mirrorkit.exporter.provenance import Provenance
from mirrorkit.exporter.trim.gate import TrimLimits, TrimReport
from mirrorkit.formats.bundle import Bundle, Graph, Precision, Variant
from mirrorkit.formats.card import front_matter
from mirrorkit.formats.pooling import Pooling

_INDEXED = {"cosine_mean": "mean cosine", "cosine_min": "lowest cosine", "spearman": "rank correlation of all pairs"}
_USE_POOLING = {str(Pooling.CLS): "CLS", str(Pooling.MEAN): "MEAN"}


def bundle_card(bundle: Bundle, name: str, about: Provenance, sizes: Mapping[str, int]) -> str:
    """Return the card. `sizes` are bytes by file."""
    return "\n".join(
        [
            *_front(bundle, name, about),
            f"# {name}",
            "",
            f"{about.model} as ONNX graphs, each verified against the original: vectors of {bundle.dim} dimensions and "
            f"{'unit' if bundle.usage.normalized else 'any'} length, {bundle.pooling} pooling, text cut at "
            f"{bundle.max_length} tokens.",
            "",
            *_prompts(bundle),
            *_table(bundle, sizes, about.calibration.name),
            *_static(bundle, sizes),
            *_shorter(bundle, name),
            *_trim(about.trim),
            *_training(about.training),
            *_use(bundle, name),
        ]
    )


def _front(bundle: Bundle, name: str, about: Provenance) -> list[str]:
    """Return what a hub reads: whose the model is, how it is loaded, and how true to the original each graph is."""
    graphs = _of_the_model(bundle)
    texts = max((int(v.report["texts"]) for v in graphs), default=0)
    metrics = [
        {"type": figure, "name": f"{variant.name}: {what}", "value": round(float(variant.report[figure]), 6)}
        for variant in graphs
        for figure, what in _INDEXED.items()
    ]
    dataset = {"type": "mirrorkit-verification", "name": f"{texts} texts to verify on ({about.calibration.name})"}
    task = {"type": "sentence-similarity", "name": "Fidelity to the original model's fp32 vectors"}
    return front_matter(
        {
            **about.card,
            "library_name": "sentence-transformers",
            "pipeline_tag": "sentence-similarity",
            "tags": ["sentence-transformers", "feature-extraction", "onnx", "mirrorkit"],
            "model-index": [{"name": name, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}],
        }
    )


def _prompts(bundle: Bundle) -> list[str]:
    """Return what is put before texts, and what vectors are compared by where that is not the cosine."""
    usage = bundle.usage
    lines = [f"- {name}: `{text}`" for name, text in usage.prompts.items() if text]
    if lines:
        default = f", `{usage.default_prompt}` where none is named" if usage.prompt() else ""
        lines = [f"Prompts, put before a text by `prompt_name`{default}:", "", *lines, ""]
    if usage.similarity != "cosine":
        lines += [f"Vectors are compared by {usage.similarity}.", ""]
    return lines


def _of_the_model(bundle: Bundle) -> list[Variant]:
    """Return the variants that give the model's own vectors, nearly."""
    return [variant for variant in bundle.variants.values() if variant.precision is not Precision.STATIC]


def _table(bundle: Bundle, sizes: Mapping[str, int], sample: str) -> list[str]:
    if not _of_the_model(bundle):
        return []
    head = ["variant", "file", "MB", "runs in", "cosine mean", "lowest", "max abs", "Spearman", "top 10", "batch"]
    lines = ["## Variants", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for variant in _of_the_model(bundle):
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
    return [*lines, "", *_legend(bundle, sample)]


def _static(bundle: Bundle, sizes: Mapping[str, int]) -> list[str]:
    """Return what the static variant is good for, and what it costs."""
    variant = next((v for v in bundle.variants.values() if v.precision is Precision.STATIC), None)
    if variant is None:
        return []
    r = variant.report["static"]
    mixed = "" if r["shipped_texts"] in (0, r["texts"]) else f", {r['shipped_texts']:,} shipped ones among them"
    return [
        "## Static variant",
        "",
        f"{variant.file} with {variant.data_files[0]} ({sizes[variant.file] / 1e6:.1f} MB) is another model: a table "
        f"of {variant.dim} numbers for each token, whose sum over a text is its vector. It knows neither the order of "
        "words nor their context. Its vectors cannot be compared with those of the other variants, and no default "
        'means it: ask for it by name, `Encoder(…, "static")`.',
        "",
        "| | the model | static | points lost |",
        "|---|---|---|---|",
        _lost(f"{r['graded_pairs']} graded pairs (Spearman × 100)", r["graded_encoder"], r["graded"]),
        _lost(f"kNN accuracy, {r['knn_texts']} documents by their subject", r["knn_encoder"], r["knn"]),
        "",
        f"It was fitted to the model's vectors of {r['texts']:,} texts ({r['corpus']}{mixed}). How much a token counts "
        f"is from {r['frequencies']}. Take it where many texts have to be told apart roughly and soon: a first pass "
        "before the model itself, near-duplicates, clusters, a processor with little memory. Leave it where single "
        f"words decide: negation, who did what to whom, paraphrases. {variant.golden} holds texts with ids and its "
        "vectors.",
        "",
    ]


def _shorter(bundle: Bundle, name: str) -> list[str]:
    """Return what lengths vectors may be cut to, and how."""
    dims = bundle.truncate_dims
    if not dims or not _of_the_model(bundle):
        return []
    lengths = ", ".join(map(str, dims))
    return [
        "## Shorter vectors",
        "",
        f"The model was trained so that the first {lengths} of the {bundle.dim} numbers of a vector are one themselves "
        f"(Matryoshka): `Encoder(…).encode(…, truncate_dim={dims[0]}, normalize=True)`, in sentence-transformers "
        f'`SentenceTransformer("{name}", truncate_dim={dims[0]})`. `mirrorkit check` tells what each length costs.',
        "",
    ]


def _lost(what: str, model: float, static: float) -> str:
    return f"| {what} | {model:.1f} | {static:.1f} | {model - static:.1f} |"


def _legend(bundle: Bundle, sample: str) -> list[str]:
    texts = max(int(v.report["texts"]) for v in _of_the_model(bundle))
    overridden = [v for v in _of_the_model(bundle) if v.report["overridden"]]
    return [
        f"Measured on {texts} texts ({sample}, and strings that break encoders) against the fp32 vectors of "
        "torch: cosine of a text's two vectors, mean and lowest; largest difference of a component; rank correlation "
        "of all pairwise similarities; share of the 10 nearest neighbours kept; largest change of a component by what "
        "else is in the batch or by padding. golden.jsonl holds some of these texts with ids and vectors.",
        "",
        *(_overridden(variant) for variant in overridden),
        *_shared(bundle),
    ]


def _overridden(variant: Variant) -> str:
    limits = ", ".join(f"{n} {variant.report['allowed'][n]:g}" for n in variant.report["overridden"])
    return f"{variant.name} was published with limits set by the user: {limits}.\n"


def _shared(bundle: Bundle) -> list[str]:
    shared = [v for v in _of_the_model(bundle) if v.data_files]
    return [f"{v.file} reads weights from {', '.join(v.data_files)}: copy them together.\n" for v in shared]


def _trim(trim: TrimReport | None) -> list[str]:
    if trim is None:
        return []
    how = "" if trim.min_count == 1 else f" at least {trim.min_count} times"
    return [
        "## Vocabulary",
        "",
        f"Trimmed from {trim.vocabulary_before:,} to {trim.vocabulary_after:,} entries, the weights from "
        f"{trim.bytes_before / 1e6:.1f} to {trim.bytes_after / 1e6:.1f} MB (fp32): special tokens, single "
        f"characters, and what {trim.texts:,} texts ({trim.corpus}) use{how}. Any text still encodes; "
        f"{trim.figures['unchanged']:.2%} of those texts are cut into the same pieces and keep their vectors, as "
        f"{trim.unseen_unchanged:.0%} of texts like them that are not of the corpus can be expected to. Other texts "
        f"are spelled in other pieces: over {trim.built_in_texts} of them the mean cosine to the model as it was "
        f"is {trim.figures['cosine_mean']:.4f}, the lowest {trim.cosine_min:.4f}; on mirrorkit's graded pairs the "
        f"Spearman correlation × 100 went from {trim.graded_before:.2f} to {trim.graded_after:.2f}.",
        "",
        *_own_trim_limits(trim.limits),
    ]


def _own_trim_limits(limits: TrimLimits) -> list[str]:
    own = ", ".join(f"{name} {limits.limits()[name]:g}" for name in limits.overridden)
    return [f"It was published with limits set by the user: {own}.", ""] if own else []


def _training(rows: Mapping[str, str]) -> list[str]:
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
    pooling = _USE_POOLING.get(bundle.pooling) if bundle.pools_only and bundle.usage.plain else None
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
