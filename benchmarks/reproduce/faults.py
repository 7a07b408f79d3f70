"""The known faults of the published procedure, each of which can be left out."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.training import official
from benchmarks.training.official import MASK, SHORTEST_MASKED, Mask, View
from mirrorkit.errors import ConfigError


def _fault(about: str) -> Any:
    return dataclasses.field(default=True, metadata={"about": about})


@dataclass(frozen=True)
class Faults:
    """What of the published code is kept as it is: all of it by default.

    Not here, since they cannot be kept or change no figure: masks drawn without a seed, training on CUDA alone, an
    experiment tracker at import, a corpus of less than one batch that trains nothing and is saved without a word. Heads
    are dropped by our own `drophead`, which keeps at least one where theirs divides by zero.
    """

    padded_mean: bool = _fault("the mean of the token vectors takes in the padding; of no effect with cls")
    literal_mask: bool = _fault("the mask is the text [MASK], which is no special token of RoBERTa")
    first_occurrence: bool = _fault("the first occurrence of the drawn span is hidden, not the drawn one")
    short_unmasked: bool = _fault(f"texts of less than {SHORTEST_MASKED} characters are not masked")
    repeats: bool = _fault("repeated lines stay and are one another's negatives")
    blank_lines: bool = _fault("a blank line is a string like any other")
    drop_last: bool = _fault("what does not fill a batch is left out")
    lower_case: bool = _fault("the tokenizer is told to lower-case, also where the base is cased")

    def kept(self) -> list[str]:
        """Return the names of those that are kept."""
        return [name for name, on in dataclasses.asdict(self).items() if on]


NAMES = tuple(field.name for field in dataclasses.fields(Faults))
NONE = Faults(**dict.fromkeys(NAMES, False))


def without(name: str) -> Faults:
    """Return all faults but one; raises ConfigError for a name that is none."""
    if name not in NAMES:
        raise ConfigError(f"fault {name!r}: must be one of {', '.join(NAMES)}")
    return dataclasses.replace(Faults(), **{name: False})


def cleaned(lines: Sequence[str], faults: Faults) -> list[str]:
    """Return the strings that are trained on."""
    kept = list(lines) if faults.blank_lines else [line for line in lines if line.strip()]
    return kept if faults.repeats else list(dict.fromkeys(kept))


def mask_with(faults: Faults, mask_token: str | None) -> Mask:
    """Return what makes the second view; with every fault it is that of the published code."""
    token = MASK if faults.literal_mask or mask_token is None else mask_token
    shortest = SHORTEST_MASKED if faults.short_unmasked else 0

    def mask(text: str, width: int, rng: random.Random) -> str:
        if width == 0 or len(text) < max(shortest, width + 1):
            return text
        start = rng.randrange(len(text) - width)  # the last place is never drawn there, nor here
        place = text.index(text[start : start + width]) if faults.first_occurrence else start
        return f"{text[:place]} {token} {text[place + width :]}"

    return mask


def embed(encoder: Any, view: View, pooling: str) -> Tensor:
    """Return [batch, dim], not normalised; a mean is over real tokens alone."""
    if pooling == "cls":
        return official.embed(encoder, view, pooling)
    hidden: Tensor = encoder(**view).last_hidden_state  # [batch, max_length, dim]
    real = view["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return (hidden * real).sum(dim=1) / real.sum(dim=1)
