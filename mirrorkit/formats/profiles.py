"""Shape profiles of a TensorRT engine: the batches it takes, and which of them takes a given one best."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mirrorkit.errors import ConfigError

_SHAPE = re.compile(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", re.ASCII)
_FORM = "must be like min=1x8,opt=32x32,max=256x128 (texts x tokens), or 32x128 for one shape alone"


@dataclass(frozen=True)
class Shape:
    """Texts and tokens of a padded batch."""

    batch: int
    length: int  # tokens

    def __str__(self) -> str:
        return f"{self.batch}x{self.length}"

    @property
    def tokens(self) -> int:
        return self.batch * self.length

    def within(self, other: Shape) -> bool:
        """Return whether neither axis is larger than that of `other`."""
        return self.batch <= other.batch and self.length <= other.length


@dataclass(frozen=True)
class Profile:
    """The smallest batch that an engine takes, the one that it is tuned for, and the largest."""

    min: Shape
    opt: Shape
    max: Shape

    def __post_init__(self) -> None:
        for small, large in (("min", "opt"), ("opt", "max")):
            if not getattr(self, small).within(getattr(self, large)):
                raise ConfigError(
                    f"profile {self}: {small} {getattr(self, small)} is larger than {large} {getattr(self, large)} "
                    "in an axis; must be min <= opt <= max"
                )

    @classmethod
    def parse(cls, text: str) -> Profile:
        """Return the profile of `min=1x8,opt=32x32,max=256x128`; `32x128` alone is a fixed shape."""
        parts = [part.strip().partition("=") for part in text.split(",")]
        if len(parts) == 1 and not parts[0][1]:
            shape = _shape(parts[0][0], text)
            return cls(shape, shape, shape)
        if sorted(name.strip() for name, _, _ in parts) != ["max", "min", "opt"]:
            raise ConfigError(f"profile {text!r}: {_FORM}")
        shapes = {name.strip(): _shape(value, text) for name, _, value in parts}
        return cls(shapes["min"], shapes["opt"], shapes["max"])

    def __str__(self) -> str:
        return f"min={self.min},opt={self.opt},max={self.max}"

    @property
    def fixed(self) -> bool:
        """Whether it takes one shape alone."""
        return self.min == self.max


@dataclass(frozen=True)
class EnginePass:
    """One pass through an engine: some rows of a batch, padded to a shape that the profile takes."""

    profile: int  # index among the engine's profiles
    first: int  # row of the batch
    rows: int  # as many rows from there; what `shape.batch` has beyond them is filled up and thrown away
    shape: Shape


def choose(profiles: Sequence[Profile], batch: int, length: int) -> list[EnginePass]:
    """Return the runs that a batch of `batch` rows of `length` tokens takes, in the order of the rows.

    Where a profile takes the whole batch, it is one run: of the profile that needs the least padding, and among such
    the one tuned nearest to the batch. Else the batch is split into even parts, as few as there can be. Raises
    ConfigError for rows that are longer than every profile.
    """
    if batch < 1 or length < 1:
        raise ConfigError(f"batch {batch}x{length}: must have at least one text and one token")
    fitting = [i for i, profile in enumerate(profiles) if length <= profile.max.length]
    if not fitting:
        longest = max((profile.max.length for profile in profiles), default=0)
        raise ConfigError(f"{length} tokens: the longest that this engine has a profile for is {longest}")
    parts = math.ceil(batch / max(profiles[i].max.batch for i in fitting))
    runs, first = [], 0
    for part in range(parts):
        rows = batch // parts + (part < batch % parts)
        index = min(
            (i for i in fitting if rows <= profiles[i].max.batch),
            key=lambda i: (_padded(profiles[i], rows, length).tokens, _distance(profiles[i], rows, length), i),
        )
        runs.append(EnginePass(index, first, rows, _padded(profiles[index], rows, length)))
        first += rows
    return runs


def _padded(profile: Profile, batch: int, length: int) -> Shape:
    return Shape(max(batch, profile.min.batch), max(length, profile.min.length))


def _distance(profile: Profile, batch: int, length: int) -> float:
    """Return how far a batch is from what the profile is tuned for, in doublings of either axis."""
    return abs(math.log2(batch / profile.opt.batch)) + abs(math.log2(length / profile.opt.length))


def _shape(text: str, whole: str) -> Shape:
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"profile {whole!r}: {text.strip()!r} is not a shape; {_FORM}")
    return Shape(int(match[1]), int(match[2]))
