"""The ways in which a model is made: the published procedure, the same without its faults, and ours."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.reproduce.faults import NAMES, NONE, Faults, cleaned, embed, mask_with, without
from benchmarks.reproduce.models import Released
from benchmarks.training import official
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.formats.pooling import Pooling
from mirrorkit.machine.torch_device import autocast_name, pick_autocast, pick_device
from mirrorkit.model.backbone import QuietTransformers
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.drophead import drophead
from mirrorkit.training.finetune import finetune

EVALUATION = 64  # tokens that the official evaluation pads and cuts every string to
BASE, OFFICIAL, CORRECTED, OURS, AUTO = "base", "official", "corrected", "ours", "auto"
EACH, BUT = "each", "official but "  # `each`: an arm for every fault that alone is left out
DEFAULT = (BASE, OFFICIAL, CORRECTED, OURS, AUTO)


@dataclass(frozen=True)
class Training:
    """One training, or the base as it is."""

    arm: str
    seed: int
    base: str
    corpus: str  # a file, a string a line
    batch_size: int
    steps: int = 0  # 0: as the recipe says
    device: str = "auto"
    autocast: str = "auto"


def arms_of(asked: str) -> list[str]:
    """Return the arms that a list with commas names; raises ConfigError for what is none."""
    found: list[str] = []
    for name in (part.strip() for part in asked.split(",")):
        if name == EACH:
            found += [f"{BUT}{fault}" for fault in NAMES]
        elif name in DEFAULT or (name.startswith(BUT) and without(name.removeprefix(BUT))):
            found.append(name)
        else:
            raise ConfigError(f"arm {name!r}: must be one of {', '.join([*DEFAULT, EACH])}")
    return list(dict.fromkeys(found))


def faults_of(arm: str) -> Faults | None:
    """Return the faults that an arm keeps; None where it is not the published procedure."""
    if arm.startswith(BUT):
        return without(arm.removeprefix(BUT))
    return {OFFICIAL: Faults(), CORRECTED: NONE}.get(arm)


def read_lines(file: Path, limit: int | None, seed: int = 0) -> list[str]:
    """Return the lines as they stand, or `limit` of them drawn by the seed, in their order."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise CorpusError(f"{file}: cannot be read as UTF-8 text ({getattr(err, 'strerror', None) or err})") from err
    lines = lines[:-1] if lines[-1] == "" else lines  # what a file ends with is no line
    if limit is None or limit >= len(lines):
        return lines
    return [lines[i] for i in sorted(random.Random(seed).sample(range(len(lines)), limit))]


def make(model: Released, job: Training) -> tuple[SentenceEncoder, dict[str, Any]]:
    """Train and return the encoder, pooled and cut as the official evaluation does, and figures of the training."""
    faults = faults_of(job.arm)
    if job.arm == BASE:
        return _loaded(job.base, model.recipe.pooling, pick_device(job.device)), {}
    if faults is not None:
        return _official(model, job, faults)
    result = finetune(
        job.base,
        job.corpus,
        recipe=_recipe(model, job.arm),
        seed=job.seed,
        device=job.device,
        autocast=job.autocast,
        verdict=False,
        pooling="mean" if job.arm == OURS and model.recipe.pooling == Pooling.MEAN_PADDED else None,
        steps=job.steps or None,
        batch_size=job.batch_size if job.arm == OURS else None,
    )
    encoder = result.encoder
    encoder.max_length = EVALUATION
    stats = result.stats
    return encoder, {"steps": stats.steps, "pairs": stats.pairs, "loss": stats.loss, "precision": stats.precision}


def _recipe(model: Released, arm: str) -> str:
    return model.name if arm == OURS else f"auto-{'words' if model.words else 'sentences'}"


def _official(model: Released, job: Training, faults: Faults) -> tuple[SentenceEncoder, dict[str, Any]]:
    settings = model.settings(job.seed, job.batch_size)
    device = pick_device(job.device)
    dtype = None if job.autocast == "auto" else pick_autocast(job.autocast, device)
    texts = cleaned(read_lines(Path(job.corpus), None), faults)
    encoder, tokenizer = official.load(job.base, settings, device, lower_case=faults.lower_case)
    with drophead(encoder, model.recipe.drophead):
        stats = official.train(
            encoder,
            tokenizer,
            texts,
            settings,
            mask=mask_with(faults, tokenizer.mask_token),
            pool=official.embed if faults.padded_mean else embed,
            drop_last=faults.drop_last,
            steps=job.steps,
            autocast=dtype,
        )
    with tempfile.TemporaryDirectory() as scratch:
        with QuietTransformers():
            encoder.save_pretrained(scratch)
            tokenizer.save_pretrained(scratch)
        pooling = settings.pooling if settings.pooling == "cls" or not faults.padded_mean else Pooling.MEAN_PADDED
        trained = _loaded(scratch, pooling, device)
    half = dtype or (torch.float16 if device == "cuda" else torch.float32)
    figures = {"steps": stats.steps, "pairs": stats.pairs, "loss": stats.loss, "precision": autocast_name(half)}
    return trained, figures | {"settings": asdict(settings), "faults": faults.kept(), "strings": len(texts)}


def _loaded(folder: str, pooling: str, device: str) -> SentenceEncoder:
    return SentenceEncoder.load(folder, pooling=pooling, max_length=EVALUATION).to(device)


def arms_text(arms: Sequence[str], model: Released) -> str:
    """Return what the arms are, for the page of a record."""
    about = {
        BASE: "the base as it is, pooled as the official evaluation does",
        OFFICIAL: "the published procedure with its known faults, written anew",
        CORRECTED: "the same without them",
        OURS: f"`finetune`, recipe {model.name}" + (", pooling mean" if model.recipe.pooling != "cls" else ""),
        AUTO: f"`finetune`, recipe {_recipe(model, AUTO)}",
    }
    return "; ".join(f"`{arm}`: {about.get(arm, 'the published procedure without that fault')}" for arm in arms)
