"""The command line: one thin command per verb. Heavy imports stay inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit import __version__
from mirrorkit.console import live_progress, one_line_errors, print_json, set_up_logging, stdout

app = typer.Typer(
    name="mirrorkit",
    help="Turn a masked language model into a sentence or word encoder, from raw text alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_HYPER = "Hyper-parameters (the recipe's where not given)"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


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
    model: Annotated[str, typer.Argument(help="A model folder, a shipped name or a hub id.")],
    sts: Annotated[Path | None, typer.Option(help="Folder of TASK.tsv: score, sentence, sentence.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; default: the usual seven.")] = None,
    lexical: Annotated[Path | None, typer.Option(help="File of word, word, score (tab-separated).")] = None,
    geometry: Annotated[
        bool, typer.Option("--geometry", help="Alignment, uniformity and mean cosine on the strings of --sts.")
    ] = False,
    pooling: Annotated[str | None, typer.Option(help="Where the folder does not say, or to override it.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json_: Json = False,
) -> None:
    """Score MODEL on sentence similarity, word similarity, and the geometry of its vectors."""
    from mirrorkit.evaluation.run import evaluate_model
    from mirrorkit.report import evaluation_report

    names = [t.strip() for t in tasks.split(",") if t.strip()] if tasks else None
    with live_progress(_is_quiet(ctx)) as progress:
        report = evaluate_model(
            model,
            sts=sts,
            tasks=names,
            lexical=lexical,
            geometry=geometry,
            pooling=pooling,
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
