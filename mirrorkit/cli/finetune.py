"""Train an encoder: `finetune`, `recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import (
    OUTPUT,
    READ,
    RUN,
    Delimiter,
    Encoding,
    Header,
    Json,
    TextColumn,
    TrustRemoteCode,
    command,
    option,
    settings,
    settings_of,
)
from mirrorkit.terminal.console import live_progress, only_errors, print_json, show, stdout
from mirrorkit.training.recipe import Changes, Recipe
from mirrorkit.training.recipes import listing

_CORPUS = "Corpus"
_DID_IT_HELP = "Did it help? (docs/finetune.md)"
_HYPER_PARAMETERS = settings_of(Recipe, flags={"learning_rate": "--lr"})


@command
@settings("changes", _HYPER_PARAMETERS, "Hyper-parameters (the recipe's where not given)")
def finetune(
    base: Annotated[str, typer.Argument(help="Masked language model: a folder, a shipped name (tiny) or a hub id.")],
    corpus: Annotated[
        list[str],
        typer.Argument(
            help="Files of text, csv, tsv, json, jsonl (also .gz .bz2 .xz .zst), parquet or arrow, patterns such as "
            "'data/*.csv', folders of txt and md, or - for stdin."
        ),
    ],
    out: Annotated[Path, option(OUTPUT, "Folder to write the encoder to.", "--out", "-o")],
    changes: Changes,
    recipe: Annotated[str, option(RUN, "See: mirrorkit recipes.")] = "auto",
    seed: Annotated[int, option(RUN, "Seed of all random numbers.", min=0)] = 42,
    seeds: Annotated[int, option(RUN, "Train this many times, report mean and spread, keep the first.", min=1)] = 1,
    average: Annotated[
        bool, option(RUN, "Keep the mean of the weights of all seeds, unless one of them is better.", "--average")
    ] = False,
    device: Annotated[str, option(RUN, "auto, cpu, cuda or mps.")] = "auto",
    autocast: Annotated[str, option(RUN, "Type to multiply matrices in: auto, fp32, bf16 or fp16.")] = "auto",
    memory: Annotated[str | None, option(RUN, "Memory to train in, such as 4GB; default: what is free.")] = None,
    teacher: Annotated[
        list[str] | None,
        option(
            RUN,
            "Encoder whose similarities to follow: a folder, a shipped name, a hub id or a bundle; repeatable.",
        ),
    ] = None,
    gradient_checkpointing: Annotated[
        bool, option(RUN, "Compute layers again rather than keep them: less memory.", "--gradient-checkpointing")
    ] = False,
    checkpoint_every: Annotated[int, option(RUN, "Save a checkpoint every so many steps; see --resume.")] = 0,
    resume: Annotated[bool, option(RUN, "Continue a training run that was stopped.", "--resume")] = False,
    log: Annotated[Path | None, option(RUN, "File for a line of JSON a step: loss, rate, geometry.", "--log")] = None,
    tracker: Annotated[
        str | None, option(RUN, "The same figures to tensorboard (the folder runs), wandb or mlflow.", "--tracker")
    ] = None,
    eval_: Annotated[
        list[str] | None,
        option(
            _DID_IT_HELP,
            "Labelled files, scored before and after: a folder of STS files, a file of graded pairs, a folder in "
            "BEIR's layout, or KIND:FILE with sts, lexical, bli, qnli, entities, retrieval, search or knn; repeatable.",
            "--eval",
        ),
    ] = None,
    dev: Annotated[
        str | None, option(_DID_IT_HELP, "Labelled file of the same kinds: keep the checkpoint that is best on it.")
    ] = None,
    verdict: Annotated[
        bool,
        option(
            _DID_IT_HELP,
            "Hold 5 % of the strings out and tell without labels whether it helped.",
            "--verdict/--no-verdict",
        ),
    ] = True,
    check: Annotated[
        bool, option(RUN, "First compare the vectors of BASE with those of sentence-transformers.", "--check")
    ] = False,
    limit: Annotated[int | None, option(_CORPUS, "Train on an even sample of this many rows.")] = None,
    pairs: Annotated[bool, option(_CORPUS, "The corpus has known positives: two columns, or a||b.", "--pairs")] = False,
    unit: Annotated[str | None, option(_CORPUS, "A string is a line, sentence, paragraph or document.")] = None,
    text_column: TextColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    header: Header = None,
    skip_bad: Annotated[
        bool, option(READ, "Leave out and count rows that do not fit; default: an error.", "--skip-bad")
    ] = False,
    keep_repeats: Annotated[bool, option(_CORPUS, "Keep repeated rows.", "--keep-repeats")] = False,
    allow_equal_views: Annotated[
        bool, option(RUN, "Train even where both views of a string are always equal.", "--allow-equal-views")
    ] = False,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the model at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Fine-tune BASE on the strings of CORPUS: an encoder in a sentence-transformers folder."""
    from mirrorkit.terminal.report import finetune_report
    from mirrorkit.training.finetune import finetune as run
    from mirrorkit.training.ranks import launched, told_apart

    if follows := launched()[0] > 0:  # another process of this training writes and reports
        only_errors()
    with live_progress() as progress, told_apart():
        result = run(
            base,
            corpus[0] if len(corpus) == 1 else [Path(one) for one in corpus],
            out,
            recipe=recipe,
            seed=seed,
            seeds=seeds,
            average=average,
            limit=limit,
            pairs=pairs,
            unit=unit,
            text_column=text_column,
            delimiter=delimiter,
            encoding=encoding,
            header=header,
            skip_bad=skip_bad,
            keep_repeats=keep_repeats,
            device=device,
            autocast=autocast,
            memory=memory,
            gradient_checkpointing=gradient_checkpointing,
            checkpoint_every=checkpoint_every,
            resume=resume,
            log_file=log,
            tracker=tracker,
            evaluate=eval_,
            dev=dev,
            verdict=verdict,
            compare=check,
            teacher=teacher or None,
            allow_equal_views=allow_equal_views,
            overwrite=overwrite,
            trust_remote_code=trust_remote_code,
            progress=progress,
            **changes,
        )
    if not follows:
        show(result.as_dict(), lambda: finetune_report(result), as_json=json_, of_files=True)


@command
def recipes(json_: Json = False) -> None:
    """List the recipes with all their hyper-parameters."""
    from mirrorkit.terminal.report import recipes_table

    if json_:
        print_json(listing())
    else:
        stdout().print(recipes_table(listing()))
