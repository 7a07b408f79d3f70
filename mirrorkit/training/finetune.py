"""The identity fine-tune from a base and a corpus to a model folder: load, train, score, save."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from mirrorkit.backbone import positions_of, width_of
from mirrorkit.device import pick_device, pick_precision
from mirrorkit.errors import ConfigError, OutputError, TrainingError
from mirrorkit.evaluation.sts import SEVEN, StsReport, evaluate_sts, task_files
from mirrorkit.extras import require
from mirrorkit.hub import locate_model
from mirrorkit.layout import Pooling, read_layout
from mirrorkit.model import SentenceEncoder
from mirrorkit.paths import local_path
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.training.card import model_card
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.loop import Step, train
from mirrorkit.training.recipes import Recipe, choose
from mirrorkit.training.result import FinetuneResult, Run

require("torch", extra="train")
import torch

log = logging.getLogger(__name__)


class Progress(Protocol):
    """Told what is going on; `mirrorkit.console` shows it in the terminal."""

    def phase(self, name: str) -> None:
        """Begin a phase."""

    def step(self, step: Step) -> None:
        """Report a training step."""

    def texts(self, done: int, total: int) -> None:
        """Report how many texts of an evaluation are encoded."""


class _Silent:
    def phase(self, name: str) -> None:
        log.info("%s", name)

    def step(self, step: Step) -> None:
        log.debug("step %d of %d, loss %.4f", step.done, step.total, step.loss)

    def texts(self, done: int, total: int) -> None:
        log.debug("%d of %d texts encoded", done, total)


def finetune(
    base: str | Path,
    corpus: str | Path | Sequence[str],
    out: str | Path | None = None,
    *,
    recipe: str = "auto",
    epochs: int | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    temperature: float | None = None,
    dropout: float | None = None,
    drophead: float | None = None,
    span_mask: int | None = None,
    mask_from: int | None = None,
    pooling: str | None = None,
    seed: int = 42,
    seeds: int = 1,
    limit: int | None = None,
    pairs: bool = False,
    text_column: str | None = None,
    keep_repeats: bool = False,
    device: str = "auto",
    precision: str = "auto",
    eval_dir: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FinetuneResult:
    """Turn the masked language model `base` into an encoder with nothing but the strings of `corpus`.

    `base` is a folder, a shipped name or a hub id; `corpus` a file (see `load_corpus`), `-`, or a list of strings.
    Hyper-parameters that are None are the recipe's (see `Recipe` for their units). `out` becomes a
    sentence-transformers folder when everything else is done; without it nothing is written. `eval_dir` holds STS
    files: the seven sets are scored before and after. `seeds` trains that many times from the base, with seeds
    counting up from `seed`, and keeps the first.

    Source of the method: Liu et al. 2021, "Fast, Effective, and Self-Supervised" (Mirror-BERT), EMNLP.
    Raises a MirrorkitError that says what to change; nothing is left at `out` then.
    """
    progress = progress or _Silent()
    clock = _Clock()
    target = local_path(out) if out is not None else None
    if seeds < 1:
        raise ConfigError(f"seeds {seeds}: must be at least 1")
    pick_precision(precision, pick_device(device))
    if target:
        check_target(target, overwrite=overwrite)
    if eval_dir is not None:
        task_files(eval_dir, SEVEN)

    with clock("load"):
        progress.phase("reading the corpus")
        folder = locate_model(base)
        layout, width = read_layout(folder), width_of(folder)
        data = load_corpus(
            corpus, pairs=pairs, text_column=text_column, limit=limit, keep_repeats=keep_repeats, seed=seed
        )
        settings = choose(
            recipe,
            width=width,
            own_pooling=layout.pooling,
            texts=data.texts,
            overrides={
                "epochs": epochs,
                "batch_size": batch_size,
                "max_length": max_length,
                "learning_rate": learning_rate,
                "weight_decay": weight_decay,
                "temperature": temperature,
                "dropout": dropout,
                "drophead": drophead,
                "span_mask": span_mask,
                "mask_from": mask_from,
                "pooling": pooling,
            },
        )
        _tell(data, recipe, settings)

    before: StsReport | None = None
    runs: list[Run] = []
    kept: SentenceEncoder | None = None
    for number in range(seeds):
        with clock("load"):
            progress.phase("loading the model")
            encoder = _load(folder, settings, pick_device(device))
            if target and number == 0:
                check_target(target, overwrite=overwrite, needs_bytes=_size(encoder))
        if eval_dir is not None and number == 0:
            with clock("evaluate"):
                progress.phase("scoring before")
                before = evaluate_sts(encoder, eval_dir, on_progress=progress.texts)
        progress.phase("training" if seeds == 1 else f"training, seed {seed + number}")
        stats = _train(encoder, data, settings, seed + number, device, precision, progress.step)
        clock.add("tokenise", stats.tokenise_seconds)
        clock.add("train", stats.train_seconds)
        after = None
        if eval_dir is not None:
            with clock("evaluate"):
                progress.phase("scoring after")
                after = evaluate_sts(encoder, eval_dir, on_progress=progress.texts)
        runs.append(Run(seed + number, stats, after))
        kept = kept or encoder
    assert kept is not None  # seeds is at least 1

    def result() -> FinetuneResult:
        return FinetuneResult(
            kept, target, _display_name(base, folder), recipe, settings, data, runs, before, clock.seconds()
        )

    if target:
        progress.phase("saving")
        with clock("save"), publish_folder(target, overwrite=overwrite) as draft:
            _save(kept, draft)
            (draft / "README.md").write_text(model_card(result()), encoding="utf-8")
    return result()


def _load(folder: Path, settings: Recipe, device: str) -> SentenceEncoder:
    # Padded mean is defined at the one length it was trained at; other poolings keep the base's own limit.
    fixed = settings.max_length if settings.pooling is Pooling.MEAN_PADDED else None
    encoder = SentenceEncoder.load(folder, pooling=settings.pooling, max_length=fixed, dropout=settings.dropout)
    positions = positions_of(encoder.backbone)
    if settings.max_length > positions:
        raise ConfigError(f"max_length {settings.max_length}: this model takes at most {positions} tokens")
    return encoder.to(device)


def _train(
    encoder: SentenceEncoder,
    data: Corpus,
    settings: Recipe,
    seed: int,
    device: str,
    precision: str,
    on_step: Callable[[Step], None],
) -> Any:
    try:
        return train(encoder, data, settings, seed=seed, device=device, precision=precision, on_step=on_step)
    except torch.OutOfMemoryError as err:
        raise TrainingError("out of GPU memory; lower --batch-size or --max-length") from err


def _save(encoder: SentenceEncoder, draft: Path) -> None:
    import safetensors

    try:
        encoder.save(draft)
    except safetensors.SafetensorError as err:  # how a full disk shows itself while the weights are written
        raise OutputError(f"the weights cannot be written ({err})") from err


def _tell(data: Corpus, name: str, settings: Recipe) -> None:
    for count, what in ((data.blank, "blank rows skipped"), (data.repeats, "repeated rows dropped")):
        if count:
            log.info("%s: %d %s", data.name, count, what)
    if len(data) < settings.batch_size:
        log.warning("%d strings, fewer than one batch of %d: the batch shrinks", len(data), settings.batch_size)
    if settings.pooling is Pooling.MEAN_PADDED:
        log.warning(
            "recipe %s averages over padding, as the official code does: slow, and only for reproducing it; "
            "--pooling mean is what others can load",
            name,
        )


def _display_name(base: str | Path, folder: Path) -> str:
    """Return the hub id or shipped name, or a local folder's own name: the path to it is nobody's business."""
    return folder.resolve().name if local_path(base).is_dir() else str(base)


def _size(encoder: SentenceEncoder) -> int:
    return sum(p.numel() * p.element_size() for p in encoder.parameters()) + (8 << 20)  # and the tokenizer


class _Clock:
    """Wall seconds by phase."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent = dict.fromkeys(("load", "tokenise", "train", "evaluate", "save"), 0.0)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(phase, time.perf_counter() - start)

    def add(self, phase: str, seconds: float) -> None:
        self._spent[phase] += seconds

    def seconds(self) -> dict[str, float]:
        return {**self._spent, "total": time.perf_counter() - self._start}
