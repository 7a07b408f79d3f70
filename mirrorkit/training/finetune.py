"""The identity fine-tune from a base and a corpus to a model folder: load, train, score, save."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirrorkit.extras import require
from mirrorkit.formats.plain import plain
from mirrorkit.machine.torch_device import autocast_name, pick_autocast, pick_device
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.own_module import Backbone
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress, Silent, Timed
from mirrorkit.publish import check_space, check_target, publish_folder
from mirrorkit.text.reading import Reading
from mirrorkit.training.attempt import Attempt, attempt
from mirrorkit.training.average import SeedsMean
from mirrorkit.training.base import bytes_on_disk
from mirrorkit.training.beforehand import check_call, hold_out, tell
from mirrorkit.training.best import read_dev
from mirrorkit.training.checkpoint import open_checkpoint
from mirrorkit.training.clock import Clock
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.exam import Exam, read_exam
from mirrorkit.training.loop import train
from mirrorkit.training.material import read_material
from mirrorkit.training.memory import size_of
from mirrorkit.training.own import name_of
from mirrorkit.training.ranks import joined, launched
from mirrorkit.training.recipe import AUTO, Changes, Recipe
from mirrorkit.training.recipes import OWN, told_kind
from mirrorkit.training.result import FinetuneResult
from mirrorkit.training.saving import save
from mirrorkit.training.seeds import over_seeds
from mirrorkit.training.teacher import as_list
from mirrorkit.training.teacher_vectors import ask_teachers, records_of
from mirrorkit.training.watch import open_step_log

require("torch", extra="train")
from torch import Tensor

if TYPE_CHECKING:
    from typing import Unpack  # in the standard library since Python 3.11

log = logging.getLogger(__name__)


def finetune(
    base: str | Path | Backbone,
    corpus: str | Path | Iterable[Any],
    out: str | Path | None = None,
    *,
    recipe: str | Recipe = AUTO,
    seed: int = 42,
    seeds: int = 1,
    average: bool = False,
    limit: int | None = None,
    pairs: bool = False,
    unit: str | None = None,
    text_column: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    skip_bad: bool = False,
    keep_repeats: bool = False,
    device: str = "auto",
    autocast: str = "auto",
    memory: str | None = None,
    gradient_checkpointing: bool = False,
    checkpoint_every: int = 0,
    resume: bool = False,
    log_file: str | Path | None = None,
    tracker: str | None = None,
    eval_dir: str | Path | None = None,
    evaluate: str | Path | Sequence[str | Path] | None = None,
    dev: str | Path | None = None,
    verdict: bool = True,
    compare: bool = False,
    loss: Callable[[Tensor, Tensor, float], Tensor] | None = None,
    teacher: str | Path | Sequence[str | Path] | None = None,
    allow_equal_views: bool = False,
    overwrite: bool = False,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    **changes: Unpack[Changes],
) -> FinetuneResult:
    """Turn the masked language model `base` into an encoder with nothing but the strings of `corpus`.

    `base` is a folder, a shipped name, a hub id or a module of your own (`Backbone`). `corpus` is a file (text, csv,
    tsv, json, jsonl, parquet or arrow; also .gz, .bz2, .xz, .zst), a pattern such as `data/*.csv`, a folder of .txt
    and .md files, a list of `Path`s, `-` (standard input), or texts in memory: strings, a data set, a data frame, and
    with `pairs` tuples of two strings, or of three, of which the last is a negative. What a file is, is told from its
    content and said in `result.corpus.understood`; where that leaves it open, `text_column`, `delimiter` (`none`: a
    line is a text), `encoding` and `header` decide, and `skip_bad` leaves out and counts the rows that do not fit.
    `unit` is what one string is: line, sentence, paragraph or document. `limit` keeps that many rows, drawn evenly.

    `recipe` is a name or a `Recipe`, and `changes` are those of its fields that are to differ, such as `epochs=2`.
    `views` may also be a function of a text and the run's `numpy.random.Generator` that returns two texts; `loss` is
    one of first views and second views, [n, dim] each and of unit length, and of the temperature, that returns a
    number in the place of `nt_xent`. A recipe that makes both views of every string equal is refused unless
    `allow_equal_views`. `autocast` is the type that matrices are multiplied in: auto, fp32, bf16 or fp16.

    `teacher` is an encoder whose similarities the model is to follow, or several of them, whose mean it follows: a
    folder, a shipped name, a hub id or a bundle. Its vectors of the corpus are computed before the training and kept in
    the user's cache (ranking distillation, Liu et al. 2023, arXiv:2305.16726); it goes without a `loss` of your own.

    `memory`, such as "4GB", is what the process, or the GPU, may take: a batch that needs more goes through the model
    in parts, with the gradient of the whole batch; None is what is free. `gradient_checkpointing` computes layers
    again rather than keep them, to the same effect. Every `checkpoint_every` steps, and where SIGINT or SIGTERM asks
    to end, the training is saved in a hidden folder beside `out`, from which `resume` goes on, to the same bits.
    `log_file` gets a line of JSON for each step; `tracker` (tensorboard, wandb or mlflow) gets the same figures.
    Processes that torchrun or accelerate launched share each batch; the first one of them writes.

    `out` becomes a sentence-transformers folder, with a training.json beside the model card, when everything else is
    done; without it nothing is written. `seeds` trains that many times from the base, with seeds counting up from
    `seed`, and keeps the first; with `average` the mean of their weights (Wortsman et al. 2022, arXiv:2203.05482),
    unless halves of the strings held out for the verdict find each other better with one of them, which then is kept.
    With `compare` the base's vectors are held to those of sentence-transformers first.
    `trust_remote_code` lets Python code run that comes with the base or a teacher; it can do whatever the user can.

    `eval_dir` holds STS files, scored before and after: the seven sets, or what there is of others. `evaluate` are your
    own labelled files, one or several, scored before and after with intervals of the change: `KIND:FILE`, where KIND is
    sts, lexical, bli, qnli, entities, retrieval, search or knn, or a path alone where its content tells. `dev` is one
    more, on which ten checkpoints are scored and the best is kept. `verdict` holds 5 % of the strings out, 100 to 2,000
    and none of fewer than 1,000, and tells without labels whether their halves find each other better than before.

    Source of the method: Liu et al. 2021, "Fast, Effective, and Self-Supervised" (Mirror-BERT), EMNLP.
    Raises ModelError for the base, CorpusError for the corpus, ConfigError for a parameter, OutputError for `out`,
    TrainingError for a loss that is NaN or infinity; nothing is left at `out` then.

    >>> from mirrorkit import finetune
    >>> result = finetune("tiny", "corpus.txt", "my-model", steps=2, batch_size=32)
    >>> result.encoder.encode(["A cat sits on the mat."]).shape
    (1, 384)
    """
    progress, clock = Timed(progress or Silent()), Clock()
    target, steps_file = (None if path is None else local_path(path) for path in (out, log_file))
    keeps = checkpoint_every != 0 or resume
    check_call(
        recipe,
        changes,
        loss,
        teacher,
        tracker,
        seeds,
        average,
        checkpoint_every,
        target,
        corpus,
        keeps=keeps,
        dev=dev is not None,
    )
    device = pick_device(device)
    dtype = pick_autocast(autocast, device)
    allowed = size_of(memory)
    exam, dev_sets = read_exam(eval_dir, evaluate), read_dev(dev)
    if not (leads := launched()[0] == 0):
        exam, dev_sets, steps_file, tracker = Exam(), [], None, None
    elif target:
        check_target(target, overwrite=overwrite)

    # From here on nobody else can write to `out`, and is told so before the work and not after it.
    with (
        joined(device) as ranks,
        open_checkpoint(target, every=checkpoint_every, resume=resume, overwrite=overwrite, leads=leads) as checkpoint,
        open_step_log(
            steps_file, overwrite=overwrite, resume=resume, tracker=tracker, run=target.name if target else "mirrorkit"
        ) as step_log,
        publish_folder(target, overwrite=overwrite) if target and leads else nullcontext() as draft,
    ):
        with clock("load"):
            progress.phase("reading the corpus")
            load = partial(
                load_corpus,
                corpus,
                pairs=pairs,
                unit=unit,
                text_column=text_column,
                limit=limit,
                keep_repeats=keep_repeats,
                seed=seed,
                reading=Reading(None, delimiter, encoding, header, skip_bad),
                progress=progress,
            )
            read = read_material(
                base,
                load,
                recipe,
                changes,
                pairs=pairs,
                trust_remote_code=trust_remote_code,
                allow_equal_views=allow_equal_views,
                loss=loss,
                ask=partial(
                    ask_teachers,
                    as_list(teacher),
                    device=device,
                    trust_remote_code=trust_remote_code,
                    progress=progress,
                    keep=leads,
                )
                if teacher
                else None,
            )
            data, settings = read.corpus, read.recipe
            progress.phase("holding strings out")
            probe, trained_on = hold_out(read, seed, verdict)
            tell(read)
            checkpoint.begin(
                {
                    "base": read.base.name,
                    "teacher": [one.sha256 for one in records_of(read.teacher)],
                    "recipe": plain(settings),
                    "function for the views": read.make_views and name_of(read.make_views),
                    "function for the loss": loss and name_of(loss),
                    "corpus": [data.sha256, len(data), str(data.unit)],
                    "count of strings": len(trained_on),
                    "seed": seed,
                    "device": device,
                    "autocast": autocast_name(dtype),
                    "count of processes": ranks.count,
                }
            )
            step_log.begin(checkpoint.step, {"base": read.base.name, **plain(settings), "seed": seed})
        fit = partial(
            train,
            device=device,
            autocast=autocast,
            progress=progress,
            memory=allowed,
            ranks=ranks,
            checkpoint=checkpoint,
            make_views=read.make_views,
            loss=loss,
            teacher=read.teacher,
            gradient_checkpointing=gradient_checkpointing,
        )

        score = partial(exam.take, clock=clock, progress=progress, dtype=dtype, dims=settings.cut_dims)

        def load_fresh(number: int) -> SentenceEncoder:
            with clock("load"):
                progress.phase("loading the model")
                encoder = read.base.load(settings, device, compare=compare and number == 0)
            if number == 0 and draft and target:
                size = bytes_on_disk(encoder, checkpoints=keeps, averaged=settings.average_last > 0)
                check_space(target, size)
            return encoder

        def once(encoder: SentenceEncoder, number: int) -> Attempt:
            progress.phase("training" if seeds == 1 else f"training, seed {seed + number}")
            own = partial(fit, seed=seed + number, step_log=step_log if number == 0 else None)
            done = attempt(own, encoder, trained_on, settings, seed + number, progress, leads=leads, dev=dev_sets)
            clock.add("tokenise", done.stats.tokenise_seconds)
            clock.add("train", done.stats.train_seconds)
            return done

        mean = SeedsMean() if average and leads else None
        trained = over_seeds(seeds, load_fresh, once, exam, score, probe if leads else None, mean)
        result = FinetuneResult(
            encoder=trained.encoder,
            out=target if leads else None,
            base=read.base.name,
            module=read.base.module is not None,
            loss_function=name_of(loss) if loss else None,
            recipe_name=recipe if isinstance(recipe, str) else OWN,
            recipe=settings,
            views=read.views,
            kind=told_kind(recipe, settings, data.texts),
            corpus=data,
            runs=trained.runs,
            saved=trained.saved,
            average=trained.average,
            before=trained.before.sts,
            no_verdict=probe if isinstance(probe, str) else None,
            seconds=clock.seconds(),
            trust_remote_code=trust_remote_code,
            teachers=records_of(read.teacher),
        )
        if draft:
            progress.phase("saving")
            with clock("save"):
                save(result, draft, read.base)
    progress.end()
    return replace(result, seconds=clock.seconds())
