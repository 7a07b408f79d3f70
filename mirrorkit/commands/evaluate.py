"""Score an encoder: `eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.commands.options import Json, is_quiet, listed
from mirrorkit.console import live_progress, one_line_errors, print_json, stdout

_BENCHMARKS = "Benchmarks (at least one; formats: see the README)"


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

    with live_progress(is_quiet(ctx)) as progress:
        report = evaluate_model(
            model,
            sts=sts,
            tasks=listed(tasks),
            lexical=lexical,
            multisimlex=multisimlex,
            languages=listed(languages),
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
