"""golden.jsonl: texts with their ids and fp32 vectors, which every runtime must reproduce."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirrorkit.errors import BundleError
from mirrorkit.formats.packed import bytes_of
from mirrorkit.text.ragged import Floats, RaggedIds

COUNT = 64
_KEYS = {"text", "input_ids", "embedding"}


@dataclass(frozen=True)
class Goldens:
    """Texts, their token ids, and the vectors [n, dim] that torch gave in fp32."""

    texts: list[str]
    ids: RaggedIds
    vectors: Floats


def golden_rows(texts: Sequence[str], awkward: int, count: int = COUNT) -> list[int]:
    """Return which of the verification texts to keep: the first `awkward` ones, and an even sample of the others."""
    others = np.linspace(awkward, len(texts) - 1, max(0, count - awkward)).astype(int)
    return [*range(awkward), *dict.fromkeys(int(row) for row in others if row >= awkward)]


def write_goldens(file: Path, texts: Sequence[str], ids: RaggedIds, vectors: Floats, rows: Sequence[int]) -> None:
    """Write the chosen rows, one JSON object a line; nine digits give every float32 back exactly."""
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            embedding = ", ".join(f"{value:.9g}" for value in vectors[row].tolist())
            text, tokens = json.dumps(texts[row]), json.dumps(ids[row].tolist())
            out.write(f'{{"text": {text}, "input_ids": {tokens}, "embedding": [{embedding}]}}\n')


def read_goldens(file: Path, dim: int) -> Goldens:
    """Read golden.jsonl; raises BundleError naming the line that is not as `write_goldens` writes it."""
    texts, ids, vectors = [], [], []
    try:
        lines = bytes(bytes_of(file)).decode().split("\n")
    except (OSError, ValueError) as err:
        raise BundleError(f"{file}: cannot be read ({err})") from err
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            vector = np.asarray(row["embedding"], dtype=np.float32)
            tokens = [int(i) for i in row["input_ids"]]
            if set(row) != _KEYS or not isinstance(row["text"], str) or vector.shape != (dim,):
                raise ValueError(f"expected text, input_ids and {dim} numbers")
            if not np.isfinite(vector).all():
                raise ValueError("NaN or infinity")
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as err:
            raise BundleError(f"{file}, line {number}: not a golden row ({type(err).__name__}: {err})") from err
        texts.append(row["text"])
        ids.append(tokens)
        vectors.append(vector)
    if not texts:
        raise BundleError(f"{file}: is empty")
    return Goldens(texts, RaggedIds.from_blocks([ids]), np.stack(vectors))
