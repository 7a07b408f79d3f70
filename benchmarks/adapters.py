"""What an adapter keeps of the recall, by the size of the corpus: `python -m benchmarks.adapters TEXTS OLD:NEW…`.

Every bundle encodes the texts once. For each size that many of them, evenly drawn, are parted, fitted and measured
as `mirrorkit adapt` does it, with several seeds of the split.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mirrorkit import Encoder
from mirrorkit.adapting.adapt import _ENOUGH, _Measured
from mirrorkit.adapting.fit import fitted
from mirrorkit.progress import Silent

SIZES = (1_000, 4_000, 16_000)
SEEDS = (0, 1)


class Remembered(SimpleNamespace):
    """An encoder of texts that were encoded before."""

    def encode_iter(self, texts: Sequence[str], **_: Any) -> Iterator[Any]:
        """Yield the vectors, all at once."""
        yield np.stack([self.known[text] for text in texts])


def remembered(bundle: str, texts: Sequence[str]) -> Any:
    """Encode all texts with the fp32 graph of a bundle."""
    encoder = Encoder(bundle, "fp32")
    print(f"encoding by {bundle}", file=sys.stderr, flush=True)
    known = dict(zip(texts, encoder.encode(texts, prompt=encoder.usage.document_prompt()), strict=True))
    return Remembered(known=known, usage=encoder.usage)


def measured(old: Any, new: Any, texts: list[str], seed: int) -> tuple[str, Any]:
    """Return the map that is chosen, and what is reported of it."""
    about = _Measured(old, new, texts, seed, Silent())
    candidates = list(fitted(*about.pairs, seed))
    scores = [about.recall(one, about.choosing) for one in candidates]
    chosen = next(one for one, score in zip(candidates, scores, strict=True) if score >= max(scores) - _ENOUGH)
    return f"{chosen.map} {chosen.rank}", about.report(chosen)


def main(corpus: str, *pairs: str) -> None:
    """Print a row for each pair and size: the means over the seeds, in per cent."""
    texts = list(dict.fromkeys(line for line in Path(corpus).read_text(encoding="utf-8").splitlines() if line.strip()))
    drawn = [texts[i] for i in np.linspace(0, len(texts) - 1, SIZES[-1]).astype(int)]
    encoders = {name: remembered(name, drawn) for name in dict.fromkeys(n for pair in pairs for n in pair.split(":"))}
    print("| old | new | texts | as they are | adapted | old queries | map |\n|---|---|---|---|---|---|---|")
    for pair in pairs:
        old, new = pair.split(":")
        for size in SIZES:
            part = [drawn[i] for i in np.linspace(0, len(drawn) - 1, size).astype(int)]
            found = [measured(encoders[old], encoders[new], part, seed) for seed in SEEDS]
            columns = (
                f"{100 * np.mean([getattr(one, name) for _, one in found]):.1f}" for name in ("before", "after", "old")
            )
            maps = ", ".join(dict.fromkeys(name for name, _ in found))
            names = (Path(old).name, Path(new).name, f"{size:,}")
            print("|", " | ".join([*names, *columns, maps]), "|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
