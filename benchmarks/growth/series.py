"""What is varied, at which sizes, and what would make its growth a fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mirrorkit.errors import ConfigError

TEXTS, TOKENS, ROWS, STEPS = "texts", "tokens a text", "rows of the vocabulary", "steps"
ENCODE, FILES, TRAIN, READ = "encode", "files", "train", "read"


@dataclass(frozen=True)
class Series:
    """One thing that grows while all else stays; each of its points is a process of its own."""

    task: str  # ENCODE by a bundle, FILES by a small model, which leaves reading and writing, TRAIN, or READ a corpus
    axis: str
    sizes: tuple[int, ...]
    about: str
    repeated_to: int  # points up to this size are measured in every round, larger ones once
    threads: int = 1
    ending: str = "npy"  # of the file that is written
    flat_from: int = 0  # memory is judged from this size on: a smaller run does not fill its buffers

    @property
    def per(self) -> str:
        """What one unit of work is called: seconds are told of so many of these."""
        return {TRAIN: "pair", READ: "string"}.get(self.task, "text")


MANY = (1_000, 10_000, 100_000, 1_000_000)
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
VOCABULARIES = (5_000, 35_000, 250_000)
WORK_TOKENS = 16_384  # of a point of a series of lengths, whatever they are
STEP_TOKENS = 4_096  # of a batch in training, one view: pairs times tokens
VOCABULARY_TEXTS, VOCABULARY_WORDS, FEW_STEPS = 4_096, 14, 5
STRINGS = 10_000  # of the series of steps
BLOCK = 4_096  # texts that `mirrorkit encode` reads ahead

SERIES = {
    "encode-texts": Series(ENCODE, TEXTS, MANY, "texts of three words", 10_000, flat_from=10_000),
    "encode-texts-2": Series(ENCODE, TEXTS, MANY[:3], "the same by two threads", 10_000, threads=2, flat_from=10_000),
    "encode-length": Series(ENCODE, TOKENS, LENGTHS, f"texts of that length, {WORK_TOKENS:,} tokens in all", 512),
    "encode-vocabulary": Series(
        ENCODE,
        ROWS,
        VOCABULARIES,
        f"models of random weights; {VOCABULARY_TEXTS:,} texts of {VOCABULARY_WORDS} words from all over the table",
        250_000,
    ),
    "files-npy": Series(FILES, TEXTS, MANY, "to .npy, by a small model of random weights", 10_000, flat_from=10_000),
    "files-parquet": Series(FILES, TEXTS, MANY, "to .parquet", 10_000, ending="parquet", flat_from=10_000),
    "files-jsonl": Series(FILES, TEXTS, MANY, "to .jsonl", 10_000, ending="jsonl", flat_from=10_000),
    "train-strings": Series(
        TRAIN,
        TEXTS,
        (*MANY[:3], 300_000, MANY[3]),
        "one epoch, strings of eight words, one layer of 32",
        100_000,
        flat_from=10_000,
    ),
    "train-steps": Series(TRAIN, STEPS, (20, 100, 500), f"the same model, {STRINGS:,} strings over and over", 200),
    "read-strings": Series(
        READ,
        TEXTS,
        (*MANY, 3_000_000),
        "a corpus read, without training; strings of eight words",
        1_000_000,
        flat_from=1_000_000,
    ),
    "train-length": Series(
        TRAIN,
        TOKENS,
        LENGTHS[::2],
        f"{FEW_STEPS} steps of {STEP_TOKENS:,} tokens a view, in fewer pairs the longer they are",
        512,
    ),
    "train-vocabulary": Series(
        TRAIN, ROWS, VOCABULARIES, f"{FEW_STEPS} steps of 200 pairs of {VOCABULARY_WORDS} words", 250_000
    ),
}


def chosen(names: str | None, largest: int | None) -> dict[str, Series]:
    """Return the series asked for, with commas, without points of more texts than `largest`; raises ConfigError."""
    asked = list(SERIES) if names is None else [name.strip() for name in names.split(",")]
    if unknown := [name for name in asked if name not in SERIES]:
        raise ConfigError(f"series {unknown[0]!r}: must be of {', '.join(SERIES)}")
    if largest is not None and largest < min(min(SERIES[name].sizes) for name in asked):
        raise ConfigError(f"largest {largest}: leaves no point of {', '.join(asked)}")
    return {name: SERIES[name] for name in asked}


def points(series: Series, rounds: int) -> Iterator[tuple[int, int]]:
    """Yield size and round of every point; the rounds go over the sizes in turn."""
    for number in range(rounds):
        for size in series.sizes:
            if number == 0 or size <= series.repeated_to:
                yield size, number
