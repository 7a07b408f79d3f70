"""Score an encoder: `eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import RUN, Json, TrustRemoteCode, command, listed, option
from mirrorkit.terminal.console import live_progress, print_json, stdout

_BENCHMARKS = "Benchmarks (without any: the shipped graded set; formats: docs/evaluate.md)"


@command
def evaluate(
    model: Annotated[
        str, typer.Argument(help="A bundle (scored without torch), model folder, shipped name, or hub id of either.")
    ],
    sts: Annotated[
        Path | None, option(_BENCHMARKS, "Folder of TASK.tsv (score, a, b) or TASK.csv (a, b, score).")
    ] = None,
    tasks: Annotated[str | None, option(_BENCHMARKS, "Of --sts, comma-separated; default: the usual seven.")] = None,
    lexical: Annotated[
        list[Path] | None,
        option(_BENCHMARKS, "Two words and a score: SimLex, SimVerb, MEN, WS-353, RW as published; repeatable."),
    ] = None,
    multisimlex: Annotated[Path | None, option(_BENCHMARKS, "Folder of translation.csv and scores.csv.")] = None,
    languages: Annotated[str | None, option(_BENCHMARKS, "Of --multisimlex, e.g. ENG,FRA; default: all.")] = None,
    bli: Annotated[
        list[Path] | None, option(_BENCHMARKS, "Word and translation: accuracy@1 and MRR; repeatable.")
    ] = None,
    bli_candidates: Annotated[Path | None, option(_BENCHMARKS, "Further words to choose among, one a line.")] = None,
    qnli: Annotated[
        list[Path] | None, option(_BENCHMARKS, "Question, sentence, label: accuracy and AUC; repeatable.")
    ] = None,
    entities: Annotated[
        tuple[Path, Path] | None,
        option(
            _BENCHMARKS, "Dictionary and mentions, both name and id: accuracy@1 and @5.", metavar="DICTIONARY MENTIONS"
        ),
    ] = None,
    retrieval: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder in BEIR's layout (corpus, queries, qrels): nDCG@10, MRR@10, recall, MAP; repeatable.",
            rich_help_panel=_BENCHMARKS,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of --retrieval; default: test.", rich_help_panel=_BENCHMARKS)
    ] = None,
    search: Annotated[
        list[Path] | None,
        typer.Option(
            help="Documents, no labels: titles or first sentences find the rest, or half finds half; repeatable.",
            metavar="DOCUMENTS",
            rich_help_panel=_BENCHMARKS,
        ),
    ] = None,
    knn: Annotated[
        list[Path] | None,
        typer.Option(help="Text and label: kNN accuracy, V-measure; repeatable.", rich_help_panel=_BENCHMARKS),
    ] = None,
    geometry: Annotated[
        bool,
        option(
            _BENCHMARKS,
            "Alignment, uniformity and mean cosine on the strings of --sts or of the shipped graded set.",
            "--geometry",
        ),
    ] = False,
    pooling: Annotated[str | None, option(RUN, "Where the folder does not say, or to override it.")] = None,
    variant: Annotated[str | None, option(RUN, "Of a bundle: auto, fp32, fp16, int8, int4, static.")] = None,
    threads: Annotated[int | None, option(RUN, "For a bundle; default: the physical cores.", min=1)] = None,
    device: Annotated[str, option(RUN, "auto, cpu, cuda or mps; a bundle: cpu or cuda.")] = "auto",
    revision: Annotated[str | None, option(RUN, "Branch, tag or commit, of a bundle's hub id.")] = None,
    trust_remote_code: TrustRemoteCode = False,
    json_: Json = False,
) -> None:
    """Score MODEL on similarity of sentences and words, search, labels, translation, answers, names, and geometry."""
    from mirrorkit.evaluation.run import evaluate as run
    from mirrorkit.terminal.report import evaluation_report

    with live_progress() as progress:
        progress.phase("encoding")
        report = run(
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
            retrieval=retrieval,
            split=split,
            search=search,
            knn=knn,
            geometry=geometry,
            pooling=pooling,
            variant=variant,
            threads=threads,
            device=device,
            revision=revision,
            trust_remote_code=trust_remote_code,
            progress=progress,
        )
    if json_:
        print_json(report.as_dict())
    else:
        stdout().print(*evaluation_report(report), sep="\n", soft_wrap=True)
