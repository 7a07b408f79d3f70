"""Train an encoder: `finetune`, `recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.commands.options import Json, is_quiet
from mirrorkit.console import live_progress, one_line_errors, print_json, stdout

_HYPER = "Hyper-parameters (the recipe's where not given)"


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

    with live_progress(is_quiet(ctx)) as progress:
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
    elif not is_quiet(ctx):
        from mirrorkit.report import finetune_report

        stdout().print(*finetune_report(result), sep="\n", soft_wrap=True)


@one_line_errors
def recipes(json_: Json = False) -> None:
    """List the recipes with all their hyper-parameters."""
    from mirrorkit.report import recipes_table
    from mirrorkit.training.recipes import listing

    if json_:
        print_json(listing())
    else:
        stdout().print(recipes_table(listing()))
