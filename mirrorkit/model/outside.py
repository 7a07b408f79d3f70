"""Hold our reading of a model folder to somebody else's: the vectors that sentence-transformers gives for it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import ExportError, ModelError
from mirrorkit.extras import require
from mirrorkit.formats.pooling import Pooling
from mirrorkit.model.backbone import QuietTransformers
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.awkward import AWKWARD, LONGEST, awkward_texts
from mirrorkit.text.ragged import Floats

require("torch", extra="train")
import torch

log = logging.getLogger(__name__)

_HEADS = re.compile(r"For(SequenceClassification|TokenClassification|QuestionAnswering|MultipleChoice)$")
ALLOWED = 1e-4  # at most; of the mean length of a vector, in any component
_PACKAGE = "sentence_transformers"
_EACH_PROMPT = 4  # texts for every prompt but the default one
_KEEPS_BLANKS = (5, 4)  # the first release that does not strip a text, so that its blanks can be compared


@dataclass(frozen=True)
class Outside:
    """What came of the comparison."""

    compared: bool
    why_not: str | None = None
    version: str | None = None  # of sentence-transformers
    texts: int = 0  # prompts counted
    largest: float = 0.0  # difference in any component, of the mean length of a vector

    def line(self) -> str:
        """Return what a report says."""
        if not self.compared:
            return f"not compared with sentence-transformers: {self.why_not}"
        return (
            f"matches sentence-transformers {self.version}: {self.texts} vectors, largest difference "
            f"{self.largest:.1e} (at most {ALLOWED:g})"
        )

    def as_dict(self) -> dict[str, object]:
        if not self.compared:
            return {"compared": False, "why": self.why_not}
        return {
            "compared": True,
            "version": self.version,
            "texts": self.texts,
            "largest": self.largest,
            "allowed": ALLOWED,
        }


def refuse_unfit(encoder: SentenceEncoder, *, pooling_given: bool) -> None:
    """Raise ExportError for a loaded model whose vectors no other library would reproduce, or not made to embed.

    `pooling_given` tells that the caller has said how to pool.
    """
    assert encoder.origin is not None
    layout = encoder.origin.layout
    names = getattr(encoder.backbone.config, "architectures", None) or ()
    head = next((name for name in names if _HEADS.search(str(name))), None)
    if head and not layout.named and not pooling_given:
        raise ExportError(
            f"{layout.weights}: is a {head}, trained to classify and not to embed; to export its body anyway say how "
            "to pool it: `pooling=mean`, cls or max"
        )
    if encoder.pooling == Pooling.MEAN_PADDED:
        raise ExportError(
            f"{layout.weights}: pooling mean-padded averages over padding, which no other library does; train with "
            "mean, cls or max, or give `pooling=mean` and expect other vectors"
        )
    if not pooling_given and not layout.named:
        log.warning("%s does not say how to pool: using mean; `pooling` changes that", layout.weights)


def compare_outside(encoder: SentenceEncoder, folder: Path, *, as_it_is: bool = True) -> Outside:
    """Compare `encoder`, loaded from `folder`, with what sentence-transformers makes of the same folder.

    Short, long, empty, multilingual and over-long texts, and some with each prompt. A folder that is no
    sentence-transformers folder is compared by direction alone: unit length is our own there. Without `as_it_is`, when
    the caller has overridden what the folder says, there is nothing to compare. Raises ModelError for a difference,
    naming the key that it probably comes from.
    """
    if not as_it_is:
        return Outside(False, "pooling or max_length is not the folder's own")
    if find_spec(_PACKAGE) is None:
        return Outside(False, "it is not installed")
    other = _load(folder)
    if isinstance(other, str):
        return Outside(False, f"it cannot load this folder ({other})")
    import sentence_transformers

    largest, count = 0.0, 0
    for texts, prompt in _cases(encoder):
        theirs = np.asarray(other.encode(list(texts), prompt_name=prompt, show_progress_bar=False), dtype=np.float32)
        ours = encoder.encode(texts, prompt_name=prompt)
        off = _difference(ours, theirs, by_length=encoder.layout.named)
        if not off <= ALLOWED:
            key = _likely_key(encoder, other, texts, prompt, ours, theirs)
            raise ModelError(
                f"{folder}: vectors differ from those of sentence-transformers {sentence_transformers.__version__} by "
                f"{off:.2g} (at most {ALLOWED:g}){f' with the prompt {prompt!r}' if prompt else ''}; probably {key}"
            )
        largest, count = max(largest, off), count + len(texts)
    return Outside(True, None, str(sentence_transformers.__version__), count, largest)


def _cases(encoder: SentenceEncoder) -> Iterator[tuple[Sequence[str], str | None]]:
    """Yield texts and the name of a prompt; the long text goes alone, so that others are not padded to its length."""
    *short, endless = awkward_texts(encoder.max_length)
    texts = [*short[:: max(1, len(AWKWARD) // 12)], endless]
    if _release() < _KEEPS_BLANKS:
        texts = [text.strip() for text in texts]
    yield texts[:-1], None
    if encoder.max_length <= LONGEST:
        yield texts[-1:], None
    for name in encoder.layout.prompts:
        yield texts[1 : 1 + _EACH_PROMPT], name


def _release() -> tuple[int, ...]:
    import sentence_transformers

    return tuple(int(part) for part in str(sentence_transformers.__version__).split(".")[:2])


def _load(folder: Path) -> Any:
    """Return the model, or why there is none."""
    from sentence_transformers import SentenceTransformer

    with _silent():
        try:
            return SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
            )
        except Exception as err:  # whatever a module of any release raises
            return (str(err).strip().splitlines() or [type(err).__name__])[0]


@contextmanager
def _silent() -> Iterator[None]:
    logger = logging.getLogger(_PACKAGE)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with QuietTransformers():
            yield
    finally:
        logger.setLevel(level)


def _difference(ours: Floats, theirs: Floats, *, by_length: bool) -> float:
    """Return the largest difference in any component, of the mean length; infinite for another number of them."""
    if ours.shape != theirs.shape:
        return float("inf")
    if not by_length:
        ours, theirs = _unit(ours), _unit(theirs)
    scale = float(np.linalg.norm(theirs, axis=1).mean())
    return float(np.abs(ours - theirs).max()) / max(scale, 1e-12)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _likely_key(
    encoder: SentenceEncoder, other: Any, texts: Sequence[str], prompt: str | None, ours: Floats, theirs: Floats
) -> str:
    """Return which file and key the difference probably comes from, by where it shows first."""
    if ours.shape != theirs.shape:
        return (
            f"modules.json or truncate_dim in config_sentence_transformers.json: {ours.shape[1]} dimensions here, "
            f"{theirs.shape[1]} there"
        )
    same_direction = _difference(_unit(ours), _unit(theirs), by_length=True) <= ALLOWED
    before = encoder.usage.prompt(None, prompt)
    for text in texts:
        mine = encoder.tokenize([text], prompt=before)[0].tolist()
        features = other.tokenize([before + text])
        found = features["input_ids"][0].tolist() if "input_ids" in features else mine
        if found != mine and len(found) != len(mine):
            return f"max_seq_length in sentence_bert_config.json: {len(mine)} tokens here, {len(found)} there"
        if found != mine:
            return "do_lower_case or tokenizer_args in sentence_bert_config.json, or tokenizer_config.json: other ids"
    if same_direction:
        return "Normalize in modules.json: only the lengths differ"
    if prompt is not None or encoder.usage.prompt():
        return "include_prompt in 1_Pooling/config.json, or prompts in config_sentence_transformers.json"
    return "1_Pooling/config.json, or config_args in sentence_bert_config.json: the ids are the same"
