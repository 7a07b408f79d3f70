"""One fine-tune's hyper-parameters as data, checked once."""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from mirrorkit.errors import ConfigError
from mirrorkit.formats.pooling import Pooling, pooling_name, poolings_of
from mirrorkit.training.matryoshka import parse_dims
from mirrorkit.training.view_choice import Views, as_views

if TYPE_CHECKING:
    from mirrorkit.training.own import MakeViews

AUTO = "auto"
_WORD_ROOM = 20  # characters between the shortest and the longest crop, so that a word can end in between


def _setting(default: object, about: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": about})


def _part(default: object, about: str) -> Any:
    """Return the setting of a part of the loss that NT-Xent has not; a loss of the user's own takes the place of it."""
    return dataclasses.field(default=default, metadata={"help": about, "part": True})


_KINDS: dict[type, tuple[type, str]] = {
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    bool: (bool, "True or False"),
    str: (str, "text"),
    Pooling: (str, "a pooling"),
    Views: (Views, "views"),
}


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of one fine-tune. Checked once, when it is made.

    This is the only list of them: the options of `mirrorkit finetune` are made of these fields and their help. Raises
    ConfigError for a value out of range.

    >>> from mirrorkit import Recipe
    >>> recipe = Recipe(epochs=2, temperature=0.07, pooling="cls+mean")
    >>> recipe.batch_size, recipe.pooling
    (200, 'cls+mean')
    """

    epochs: int = _setting(1, "Passes over the corpus.")
    # The last batches share what is left, so that no string is dropped.
    batch_size: int = _setting(200, "Pairs in a batch; the others are a pair's negatives.")
    max_length: int = _setting(50, "Tokens a training string is cut to, special tokens included.")
    learning_rate: float = _setting(2e-5, "Peak learning rate of AdamW.")
    weight_decay: float = _setting(0.01, "Of AdamW, on all parameters.")
    warmup: float = _setting(0.0, "Share of the steps in which the learning rate climbs to its peak.")
    decay: bool = _setting(False, "Then let the rate fall linearly to zero, or keep it.")
    temperature: float = _setting(0.04, "Of the softmax over cosines.")
    dropout: float = _setting(0.1, "Probability, in embeddings, attention and feed-forward layers.")
    drophead: float = _setting(0.0, "Probability that an attention head is silenced.")
    span_mask: int = _setting(5, "Characters hidden in the second view of a string; 0 for none.")
    mask_from: int = _setting(30, "Characters; shorter strings are not masked.")
    shuffle: float = _setting(0.0, "Share of second views with their words in another order, in place of the mask.")
    # Parts of the loss, all off.
    duplicate_overlap: float = _part(
        0.0, "Texts that share more of their runs of four characters are no negatives either."
    )
    hard_negatives: float = _part(0.0, "Weight of near negatives, as an exponent of theirs; 0: all count alike.")
    decoupled: bool = _part(False, "Leave the positive out of the denominator.")
    pooling: str = dataclasses.field(
        default=Pooling.MEAN,
        metadata={"help": "How token vectors become one: cls, mean, mean-padded, max, …; several joined by +."},
    )
    views: Views = dataclasses.field(
        default=Views.IDENTITY,
        metadata={"help": "Two views of a string: identity, crop, sentence, adjacent; auto: as the corpus has it."},
    )
    crop: str = _setting("100,250", "Characters that a crop has at the least and at the most.")
    # An even sample of the corpus, or several passes over it.
    steps: int = _setting(0, "Steps of the optimizer; 0: as the epochs say.")
    seconds: float = _setting(0.0, "Train for this long, however many steps that makes; 0: as the steps say.")
    blend: str = _setting("0", "Share of the base's weights in the result, 0 to 1; auto: by held-out texts.")
    average_last: float = _setting(0.0, "Share of the steps, the last ones, whose weights are averaged.")
    teacher_weight: float = _setting(1.0, "Of what a teacher adds to the loss.")
    teacher_temperature: float = _setting(0.05, "Of the softmax over the teacher's cosines.")
    student_temperature: float = _setting(0.05, "Of the softmax over the model's own cosines that is held to it.")
    mlm_steps: int = _setting(0, "Masked-LM steps on the corpus before the others.")
    mlm_rate: float = _setting(1e-4, "Peak learning rate of those.")
    lora: int = _setting(0, "Rank of additions to the linear layers (LoRA) that alone are trained; 0: all weights are.")
    matryoshka: str = _setting("", "Lengths that vectors may be cut to, as 64,128,256: each is trained; empty: none.")
    train_layers: int = _setting(0, "The last transformer layers that alone are trained, and what follows; 0: all.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "pooling", pooling_name(poolings_of(str(self.pooling))))
        object.__setattr__(self, "views", as_views(self.views))
        object.__setattr__(self, "blend", str(self.blend))
        if isinstance(self.matryoshka, str):
            object.__setattr__(self, "matryoshka", ",".join(map(str, parse_dims(self.matryoshka))))
        for field in dataclasses.fields(self):
            value, (kind, wanted) = getattr(self, field.name), _KINDS[type(field.default)]
            fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            _require(fits, field.name, repr(value), wanted)
        rates = ("learning_rate", "mlm_rate", "temperature", "teacher_temperature", "student_temperature")
        for name in ("epochs", "batch_size", *rates):
            _require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "above 0 and finite")
        for name in ("dropout", "drophead", "warmup", "duplicate_overlap", "average_last"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "at least 0 and below 1")
        _require(0 <= self.shuffle <= 1, "shuffle", self.shuffle, "from 0 to 1")
        parts = [field.name for field in dataclasses.fields(self) if "part" in field.metadata]
        for name in ("weight_decay", "span_mask", "mask_from", "seconds", "teacher_weight", *parts):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "at least 0 and finite")
        _require(self.batch_size > 1, "batch_size", self.batch_size, "at least 2, since the others are the negatives")
        _require(self.max_length > 2, "max_length", self.max_length, "at least 3 tokens")
        _require(self.steps >= 0, "steps", self.steps, "at least 0, which leaves it to the epochs")
        _require(self.mlm_steps >= 0, "mlm_steps", self.mlm_steps, "at least 0, which makes none")
        for name in ("lora", "train_layers"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0, which trains all weights")
        averaged = "0 where `average_last` is given: a mean of additions is no addition of means"
        _require(not (self.lora and self.average_last), "lora", self.lora, averaged)
        wanted = f"two numbers of characters such as 100,250, {_WORD_ROOM} or more apart"
        _require(_is_crop(self.crop), "crop", self.crop, wanted)
        _require(self.blend == AUTO or _is_share(self.blend), "blend", self.blend, "auto or a number from 0 to 1")

    @property
    def crop_range(self) -> tuple[int, int]:
        """Characters that a crop has at the least and at the most."""
        shortest, longest = map(int, self.crop.split(","))
        return shortest, longest

    @property
    def cut_dims(self) -> tuple[int, ...]:
        """Lengths that vectors may be cut to, the shortest first."""
        return parse_dims(self.matryoshka)

    @property
    def blend_share(self) -> float | None:
        """Share of the base's weights; None: to be chosen."""
        return None if self.blend == AUTO else float(self.blend)


class Changes(TypedDict, total=False):
    """The fields of `Recipe` as keyword arguments, so that editors and mypy know them; None leaves the recipe's own."""

    epochs: int | None
    batch_size: int | None
    max_length: int | None
    learning_rate: float | None
    weight_decay: float | None
    warmup: float | None
    decay: bool | None
    temperature: float | None
    dropout: float | None
    drophead: float | None
    span_mask: int | None
    mask_from: int | None
    shuffle: float | None
    duplicate_overlap: float | None
    hard_negatives: float | None
    decoupled: bool | None
    pooling: str | None
    views: str | MakeViews | None
    crop: str | None
    steps: int | None
    seconds: float | None
    blend: str | None
    average_last: float | None
    teacher_weight: float | None
    teacher_temperature: float | None
    student_temperature: float | None
    mlm_steps: int | None
    mlm_rate: float | None
    lora: int | None
    matryoshka: str | None
    train_layers: int | None


def _is_crop(value: str) -> bool:
    parts = [part.strip() for part in value.split(",")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return False
    return 0 < int(parts[0]) <= int(parts[1]) - _WORD_ROOM


def _is_share(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{name} {value}: must be {wanted}")


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """Return `recipe` with those of the changes that are not None; a function that makes views is views `own`."""
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    if callable(given.get("views")):
        given["views"] = Views.OWN
    return dataclasses.replace(recipe, **given)
