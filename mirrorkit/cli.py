"""The command line: one thin command per verb. Heavy imports stay inside the commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mirrorkit import __version__
from mirrorkit.console import EXIT_FAILED, live_progress, one_line_errors, print_json, set_up_logging, stdout

app = typer.Typer(
    name="mirrorkit",
    help="Turn a masked language model into a sentence or word encoder, from raw text alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_HYPER = "Hyper-parameters (the recipe's where not given)"
_LIMITS = "Limits of verification (those of each precision where not given)"
_BENCHMARKS = "Benchmarks (at least one; formats: see the README)"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def _listed(text: str | None) -> list[str] | None:
    """Return the parts of a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def _version(show: bool) -> None:
    if show:
        print(f"mirrorkit {__version__}")
        raise typer.Exit


@app.callback()
def main(
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for everything.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors, no progress.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,  # noqa: ARG001
) -> None:
    """Turn a masked language model into a sentence or word encoder, from raw text alone."""
    set_up_logging(-1 if quiet else verbose)


def _is_quiet(ctx: typer.Context) -> bool:
    return bool(ctx.parent and ctx.parent.params["quiet"])


@app.command(rich_help_panel="Make")
@one_line_errors
def finetune(
    ctx: typer.Context,
    base: Annotated[str, typer.Argument(help="Masked language model: a folder, a shipped name (tiny) or a hub id.")],
    corpus: Annotated[str, typer.Argument(help="txt, csv, tsv, jsonl (each also .gz), parquet, or - for stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the encoder to.")],
    recipe: Annotated[str, typer.Option(help="See: mirrorkit recipes.")] = "auto",
    epochs: Annotated[int | None, typer.Option(rich_help_panel=_HYPER)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pairs.", rich_help_panel=_HYPER)] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens.", rich_help_panel=_HYPER)] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.", rich_help_panel=_HYPER)] = None,
    weight_decay: Annotated[float | None, typer.Option(rich_help_panel=_HYPER)] = None,
    temperature: Annotated[float | None, typer.Option(rich_help_panel=_HYPER)] = None,
    dropout: Annotated[float | None, typer.Option(rich_help_panel=_HYPER)] = None,
    drophead: Annotated[float | None, typer.Option(rich_help_panel=_HYPER)] = None,
    span_mask: Annotated[int | None, typer.Option(help="Characters; 0: none.", rich_help_panel=_HYPER)] = None,
    mask_from: Annotated[
        int | None, typer.Option(help="Mask strings of this many characters and more.", rich_help_panel=_HYPER)
    ] = None,
    pooling: Annotated[str | None, typer.Option(help="cls, mean, mean-padded or max.", rich_help_panel=_HYPER)] = None,
    seed: Annotated[int, typer.Option(min=0)] = 42,
    seeds: Annotated[int, typer.Option(min=1, help="Train this often, report mean and spread, keep the first.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Train on an even sample of this many rows.")] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="The corpus has known positives: two columns, or a||b.")
    ] = False,
    text_column: Annotated[
        str | None, typer.Option(help="Column name or number; two with a comma for --pairs.")
    ] = None,
    keep_repeats: Annotated[bool, typer.Option("--keep-repeats", help="Do not drop repeated rows.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    eval_dir: Annotated[
        Path | None, typer.Option("--eval", help="Folder of STS files: score before and after.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Fine-tune BASE on the strings of CORPUS: an encoder in a sentence-transformers folder."""
    from mirrorkit.training.finetune import finetune as run

    with live_progress(_is_quiet(ctx)) as progress:
        result = run(
            base,
            corpus,
            out,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
            max_length=max_length,
            learning_rate=lr,
            weight_decay=weight_decay,
            temperature=temperature,
            dropout=dropout,
            drophead=drophead,
            span_mask=span_mask,
            mask_from=mask_from,
            pooling=pooling,
            seed=seed,
            seeds=seeds,
            limit=limit,
            pairs=pairs,
            text_column=text_column,
            keep_repeats=keep_repeats,
            device=device,
            precision=precision,
            eval_dir=eval_dir,
            overwrite=overwrite,
            progress=progress,
        )
    if json_:
        print_json(result.as_dict())
    elif not _is_quiet(ctx):
        from mirrorkit.report import finetune_report

        stdout().print(*finetune_report(result), sep="\n", soft_wrap=True)


@app.command(name="eval", rich_help_panel="Measure")
@one_line_errors
def evaluate(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(help="A bundle (scored without torch), model folder, shipped name or hub id.")
    ],
    sts: Annotated[
        Path | None,
        typer.Option(help="Folder of TASK.tsv (score, a, b) or TASK.csv (a, b, score).", rich_help_panel=_BENCHMARKS),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(help="Of --sts, comma-separated; default: the usual seven.", rich_help_panel=_BENCHMARKS),
    ] = None,
    lexical: Annotated[
        list[Path] | None,
        typer.Option(
            help="Two words and a score: SimLex, SimVerb, MEN, WS-353, RW as published; repeatable.",
            rich_help_panel=_BENCHMARKS,
        ),
    ] = None,
    multisimlex: Annotated[
        Path | None, typer.Option(help="Folder of translation.csv and scores.csv.", rich_help_panel=_BENCHMARKS)
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Of --multisimlex, e.g. ENG,FRA; default: all.", rich_help_panel=_BENCHMARKS)
    ] = None,
    bli: Annotated[
        list[Path] | None,
        typer.Option(help="Word and translation: accuracy@1 and MRR; repeatable.", rich_help_panel=_BENCHMARKS),
    ] = None,
    bli_candidates: Annotated[
        Path | None,
        typer.Option(help="Further words to choose among, one a line.", rich_help_panel=_BENCHMARKS),
    ] = None,
    qnli: Annotated[
        list[Path] | None,
        typer.Option(help="Question, sentence, label: accuracy and AUC; repeatable.", rich_help_panel=_BENCHMARKS),
    ] = None,
    entities: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Dictionary and mentions, both name and id: accuracy@1 and @5.",
            metavar="DICTIONARY MENTIONS",
            rich_help_panel=_BENCHMARKS,
        ),
    ] = None,
    geometry: Annotated[
        bool,
        typer.Option(
            "--geometry",
            help="Alignment, uniformity and mean cosine on the strings of --sts.",
            rich_help_panel=_BENCHMARKS,
        ),
    ] = False,
    pooling: Annotated[str | None, typer.Option(help="Where the folder does not say, or to override it.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of a bundle: auto, fp32, fp16, int8, int4.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="For a bundle; default: the physical cores.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps; a bundle: cpu or cuda.")] = "auto",
    json_: Json = False,
) -> None:
    """Score MODEL on similarity of sentences and words, translation, answers, entity names, and its geometry."""
    from mirrorkit.evaluation.run import evaluate_model
    from mirrorkit.report import evaluation_report

    with live_progress(_is_quiet(ctx)) as progress:
        report = evaluate_model(
            model,
            sts=sts,
            tasks=_listed(tasks),
            lexical=lexical,
            multisimlex=multisimlex,
            languages=_listed(languages),
            bli=bli,
            bli_candidates=bli_candidates,
            qnli=qnli,
            entities=entities,
            geometry=geometry,
            pooling=pooling,
            variant=variant,
            threads=threads,
            device=device,
            on_progress=progress.texts,
        )
    if json_:
        print_json(report.as_dict())
    else:
        stdout().print(*evaluation_report(report), sep="\n", soft_wrap=True)


@app.command(rich_help_panel="Make")
@one_line_errors
def recipes(json_: Json = False) -> None:
    """List the recipes with all their hyper-parameters."""
    from mirrorkit.report import recipes_table
    from mirrorkit.training.recipes import listing

    if json_:
        print_json(listing())
    else:
        stdout().print(recipes_table(listing()))


@app.command(rich_help_panel="Make")
@one_line_errors
def export(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A model folder, a shipped name or a hub id.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the bundle to.")],
    precision: Annotated[str, typer.Option(help="Among fp32, fp16, int8, int4, with commas.")] = "fp32,fp16,int8",
    opset: Annotated[int | None, typer.Option(help="ONNX operator set of the portable graphs.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens; longer text is cut.")] = None,
    pooling: Annotated[str | None, typer.Option(help="Where the folder does not say, or to override it.")] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="File of texts like those to come; default: the corpus of the model card, else a sample."),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the calibration file, name or number.")] = None,
    optimize: Annotated[bool, typer.Option(help="Add a graph fused for ONNX Runtime.")] = True,
    min_cosine: Annotated[float | None, typer.Option(help="Worst text.", rich_help_panel=_LIMITS)] = None,
    min_p1_cosine: Annotated[float | None, typer.Option(help="First percentile.", rich_help_panel=_LIMITS)] = None,
    min_mean_cosine: Annotated[float | None, typer.Option(rich_help_panel=_LIMITS)] = None,
    max_abs: Annotated[float | None, typer.Option(help="Any component.", rich_help_panel=_LIMITS)] = None,
    min_spearman: Annotated[float | None, typer.Option(help="Of all pairs.", rich_help_panel=_LIMITS)] = None,
    min_overlap: Annotated[float | None, typer.Option(help="Of the 10 nearest.", rich_help_panel=_LIMITS)] = None,
    max_invariance: Annotated[
        float | None, typer.Option(help="Change by batch or padding, any component.", rich_help_panel=_LIMITS)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Export MODEL to a bundle whose every graph is verified; one that fails is not published (exit code 1)."""
    from mirrorkit.exporter.pipeline import export_bundle
    from mirrorkit.exporter.result import NothingPublishedError
    from mirrorkit.report import export_report

    given = {
        "cosine_min": min_cosine,
        "cosine_p1": min_p1_cosine,
        "cosine_mean": min_mean_cosine,
        "max_abs": max_abs,
        "spearman": min_spearman,
        "overlap": min_overlap,
        "invariance": max_invariance,
    }
    try:
        with live_progress(_is_quiet(ctx)) as progress:
            result = export_bundle(
                model,
                out,
                precision=_listed(precision) or [],
                opset=opset,
                max_length=max_length,
                pooling=pooling,
                calibration=calibration,
                text_column=text_column,
                optimize=optimize,
                overwrite=overwrite,
                thresholds={name: value for name, value in given.items() if value is not None},
                progress=progress,
            )
    except NothingPublishedError as err:
        result = err.result
    if json_:
        print_json(result.as_dict())
    elif not _is_quiet(ctx):
        stdout().print(*export_report(result), sep="\n", soft_wrap=True)
    if not result.ok:
        for variant in result.variants.values():
            for problem in variant.problems:
                print(f"mirrorkit: not published: {problem.line()}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED)


@app.command(rich_help_panel="Measure")
@one_line_errors
def check(
    ctx: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or of a model or ONNX export made by others.")],
    variants: Annotated[str | None, typer.Option(help="Run these only, with commas; default: all.")] = None,
    json_: Json = False,
) -> None:
    """Check hashes, contract and vectors of BUNDLE, and what each consumer would read; exit code 1 if it is not fit."""
    from mirrorkit.report import check_report
    from mirrorkit.verification.check import check_bundle

    result = check_bundle(bundle, variants=_listed(variants))
    if json_:
        print_json(result.as_dict())
    elif not _is_quiet(ctx):
        stdout().print(*check_report(result), sep="\n", soft_wrap=True)
    if not result.ok:
        raise typer.Exit(EXIT_FAILED)


@app.command(rich_help_panel="Use")
@one_line_errors
def encode(
    ctx: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, or of an ONNX export made by others.")],
    texts: Annotated[str, typer.Argument(help="txt, csv, tsv, jsonl (each also .gz), parquet, or - for stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .npy, .jsonl or .parquet.")],
    variant: Annotated[str, typer.Option(help="auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Default: the physical cores.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column name or number.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens in a batch, padding included.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped job; parquet only.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Encode the rows of TEXTS: row i of OUT is row i of the input, blank rows included."""
    from mirrorkit.runtime.encode_file import encode_file

    with live_progress(_is_quiet(ctx)) as progress:
        result = encode_file(
            bundle,
            texts,
            out,
            variant=variant,
            device=device,
            threads=threads,
            text_column=text_column,
            batch_tokens=batch_tokens,
            overwrite=overwrite,
            resume=resume,
            on_progress=progress.texts,
        )
    if json_:
        print_json(result.as_dict())
    elif not _is_quiet(ctx):
        stdout().print(result.line(), soft_wrap=True, markup=False)


@app.command(rich_help_panel="Use")
@one_line_errors
def similarity(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, or of an ONNX export made by others.")],
    texts: Annotated[list[str], typer.Argument(help="Two texts or more.")],
    variant: Annotated[str, typer.Option(help="auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    json_: Json = False,
) -> None:
    """Print the cosine of the first text with each of the others."""
    from mirrorkit.runtime.similarity import compare

    result = compare(bundle, texts, variant=variant)
    if json_:
        print_json(result.as_dict())
    else:
        stdout().print(*result.lines(), sep="\n", soft_wrap=True, markup=False)


@app.command(rich_help_panel="Start")
@one_line_errors
def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("mirrorkit-demo"),
    sts: Annotated[
        Path | None, typer.Option(help="Folder of the seven STS sets; default: $MIRRORKIT_STS, ../shared/data/sts.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a former demo at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Show the whole job on the shipped model: corpus, fine-tune, scores before and after, a picture."""
    from mirrorkit.demo.run import run_demo

    quiet = _is_quiet(ctx)
    figures = run_demo(
        out,
        sts=sts,
        overwrite=overwrite,
        console=None if quiet or json_ else stdout(),
        show_progress=lambda: live_progress(quiet),
    )
    if json_:
        print_json(figures)
