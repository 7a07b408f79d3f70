"""What a run is to do: the options, checked once, and how the time is shared out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import Bundle
from mirrorkit.machine.cores import default_threads
from mirrorkit.machine.facts import usable_cores

LENGTHS = (8, 32, 128)  # tokens
BATCHES = (1, 8, 32)
MOST_TOKENS = 1 << 20  # of one batch; more is a slip of the keyboard, and fills any memory
MOST_THREADS = 4  # a core
WARM_UP = "until three calls in a row beat the fastest before them by less than 2 %, or the time for the shape is up"


@dataclass(frozen=True)
class Budget:
    """How long to measure. A round runs every subject once, each in a process of its own."""

    name: str
    seconds: float  # of measuring speed; no round begins that would end later, but `min_rounds` are always run
    min_rounds: int  # at least 2
    max_rounds: int
    texts: int  # of the ragged workload
    calls: int  # at most, of one shape in one process
    narrow: float = 0.03  # the interval's reach to either side at which no further round is needed
    resamples: int = 1000  # of the bootstrap over the pairs
    most_shape_seconds: float = 2.0
    gemm_seconds: float = 0.5


BUDGETS = {
    "quick": Budget("quick", seconds=60, min_rounds=3, max_rounds=5, texts=128, calls=100),
    "full": Budget("full", seconds=900, min_rounds=5, max_rounds=30, texts=512, calls=500, gemm_seconds=2.0),
}


@dataclass(frozen=True)
class BenchPlan:
    """How to measure, whatever the bundle."""

    budget: Budget
    threads: int
    seed: int


@dataclass(frozen=True)
class Shapes:
    """The batches to time: each length in each size."""

    lengths: tuple[int, ...]  # tokens, without repetition, as given
    batches: tuple[int, ...]  # texts

    def seconds(self, budget: Budget, subjects: int) -> float:
        """Return the time for one shape in one process: an even share of the budget over `max_rounds`."""
        shapes = len(self.lengths) * len(self.batches) + 2  # and the ragged texts, and one short text
        share = budget.seconds / (subjects * budget.max_rounds * shapes)
        return min(0.7 * share, budget.most_shape_seconds)  # the rest is starting, loading and slow shapes


def make_plan(*, threads: int | None = None, budget: str | Budget = "quick", seed: int = 0) -> BenchPlan:
    """Check the options; raises ConfigError for a value that is out of range."""
    if isinstance(budget, str):
        if budget not in BUDGETS:
            raise ConfigError(f"budget {budget!r}: must be one of {', '.join(BUDGETS)}")
        budget = BUDGETS[budget]
    if threads is not None and _whole("threads", [threads])[0] > (most := MOST_THREADS * usable_cores()):
        raise ConfigError(f"threads {threads}: at most {most} make sense on {usable_cores()} cores")
    return BenchPlan(budget, threads or default_threads(), seed)


def make_shapes(bundle: Bundle, lengths: Sequence[int] | None = None, batches: Sequence[int] | None = None) -> Shapes:
    """Check the shapes against the bundle; without `lengths`, the usual ones that the bundle takes.

    Raises ConfigError for a value that is out of range.
    """
    usual = [length for length in LENGTHS if length <= bundle.max_length] or [bundle.max_length]
    chosen = _whole("lengths", usual if lengths is None else lengths)
    if (longest := max(chosen)) > bundle.max_length:
        raise ConfigError(f"lengths {longest}: {bundle.folder} takes at most {bundle.max_length} tokens")
    sizes = _whole("batches", BATCHES if batches is None else batches)
    if max(sizes) * longest > MOST_TOKENS:
        raise ConfigError(f"batches {max(sizes)} of lengths {longest}: more than {MOST_TOKENS:,} tokens in one batch")
    return Shapes(chosen, sizes)


def _whole(name: str, values: Sequence[int]) -> tuple[int, ...]:
    if not values:
        raise ConfigError(f"{name}: give at least one")
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{name} {value!r}: must be a whole number of at least 1")
    return tuple(dict.fromkeys(values))
