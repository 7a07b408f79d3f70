"""How fast each graph of the bundle is here, and how near to torch: a first look, no judgement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.assets.paths import GRADED
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.runtime.encoder import Encoder

TEXTS = 128  # sentences of the graded set
SINGLE = 16  # of them encoded one by one


@dataclass(frozen=True)
class Speed:
    """The better of two rounds. `mirrorkit bench` takes the time that a judgement needs."""

    variant: str
    texts_per_second: float  # all at once, tokenising included
    one_text: float  # seconds, the median
    cosine_min: float  # to torch's vector of the same text


def measure_speed(bundle: Path, variants: Sequence[str], reference: TextEncoder) -> list[Speed]:
    """Time every variant over the same sentences, in this process, one after the other."""
    texts = read_pairs(GRADED, score_column=0).left[:TEXTS]
    expected = reference.encode(texts)
    found = []
    for variant in variants:
        encoder = Encoder(bundle, variant)
        vectors = encoder.encode(texts)  # warms up as well
        rounds = [_spent(encoder, texts) for _ in range(2)]
        single = sorted(_spent(encoder, [text]) for text in texts[:SINGLE])
        lowest = float((vectors * expected).sum(axis=1).min())
        found.append(Speed(variant, len(texts) / min(rounds), single[SINGLE // 2], lowest))
    return found


def _spent(encoder: Encoder, texts: Sequence[str]) -> float:
    start = time.perf_counter()
    encoder.encode(list(texts))
    return time.perf_counter() - start
