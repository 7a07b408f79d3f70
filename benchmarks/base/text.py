"""Plain English for the shipped base: lines cleaned, cut into pieces, masked and laid out in batches."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_UNKNOWN = 1  # a sentence with more literal [UNK] than this is dropped
CHECKED = 0.01  # share of the lines that the masked-LM loss is measured on; chosen by their hash alone

_SENTENCE = re.compile(r"(?<=[a-z0-9)\"'][.!?])\s+(?=[\"'(]?[A-Z])")
_UNKNOWN = re.compile(r"\s*\(?\s*\[UNK\]\s*\)?")
_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[A-Za-z]{2,}|\b[aI]\b")


def plain_lines(file: Path) -> Iterator[str]:
    """Yield the distinct lines of a text file; where a line holds a literal [UNK], only its readable sentences."""
    seen: set[str] = set()
    for raw in file.read_text(encoding="utf-8").splitlines():
        # The paragraphs with many [UNK] are long: dropping them whole would lose a fifth of the text.
        parts = _SENTENCE.split(raw) if "[UNK]" in raw else [raw]
        kept = [p for p in parts if p.count("[UNK]") <= MAX_UNKNOWN]
        line = _SPACES.sub(" ", _UNKNOWN.sub("", " ".join(kept))).strip()
        if _is_prose(line) and line.lower() not in seen:
            seen.add(line.lower())
            yield line


def is_checked(line: str) -> bool:
    """Tell whether a line is one of those that loss is measured on and training leaves out."""
    return int(hashlib.sha256(line.lower().encode()).hexdigest()[:8], 16) < CHECKED * 2**32


def _is_prose(line: str) -> bool:
    """Tell prose from code, tables and fragments: at least four words, and mostly made of words."""
    found = _WORD.findall(line)
    letters = sum(map(len, found))
    odd = sum(line.count(c) for c in "=<>{}|\\_()[]")
    return len(found) >= 4 and len(line) < 4000 and letters > 0.68 * len(line) and odd <= 0.05 * len(line)


@dataclass(frozen=True)
class Pieces:
    """What masking must know of a WordPiece vocabulary."""

    cls: int
    sep: int
    pad: int
    mask: int
    special: Bools  # [vocab], true for the tokens that are never masked
    inner: Bools  # [vocab], true where a piece continues the word before

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Pieces:
        """Read them from a tokenizer with BERT's special tokens."""
        ids = tokenizer.get_vocab()
        names = sorted(ids, key=ids.__getitem__)
        special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        return cls(
            ids["[CLS]"],
            ids["[SEP]"],
            ids["[PAD]"],
            ids["[MASK]"],
            special=np.isin(names, special),
            inner=np.array([name.startswith("##") for name in names]),
        )


@dataclass(frozen=True)
class Lines:
    """Hold encoded lines end to end: line i is ids[starts[i]:starts[i + 1]], [CLS] and [SEP] included."""

    ids: Ints
    starts: Ints

    @property
    def lengths(self) -> Ints:
        """Give each line's number of positions."""
        return np.diff(self.starts)


def encode(tokenizer: Tokenizer, lines: list[str], max_length: int) -> Lines:
    """Encode one line per sequence; cut a longer one into several."""
    pieces, room = Pieces.of(tokenizer), max_length - 2
    found = [e.ids for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
    cut = [ids[i : i + room] for ids in found for i in range(0, len(ids), room)]
    rows = [[pieces.cls, *ids, pieces.sep] for ids in cut if len(ids) >= 4]
    starts = np.cumsum([0] + [len(r) for r in rows])
    return Lines(np.fromiter((t for r in rows for t in r), np.int64, int(starts[-1])), starts)


def plan_epoch(lengths: Ints, batch_tokens: int, rng: np.random.Generator) -> list[Ints]:
    """Group line numbers into batches of like length, a little noise added, and shuffle the batches."""
    order = np.argsort(lengths + rng.uniform(0, 4, len(lengths)), kind="stable")
    batches: list[Ints] = []
    first = 0
    longest = 0
    for i, line in enumerate(order):
        longest = max(longest, int(lengths[line]))
        if longest * (i + 1 - first) > batch_tokens:
            batches.append(order[first:i])
            first, longest = i, int(lengths[line])
    batches.append(order[first:])
    rng.shuffle(batches)
    return batches


def pad(lines: Lines, rows: Ints, pad_id: int) -> Ints:
    """Lay lines side by side, padded to the longest: [batch, seq]."""
    batch = np.full((len(rows), int(lines.lengths[rows].max())), pad_id, np.int64)
    for out, row in zip(batch, rows, strict=True):
        ids = lines.ids[lines.starts[row] : lines.starts[row + 1]]
        out[: len(ids)] = ids
    return batch


@dataclass(frozen=True)
class Masked:
    """Hold one batch with its masks; positions index the flattened batch."""

    ids: torch.Tensor  # [batch, seq]
    attention: torch.Tensor  # [batch, seq]
    positions: torch.Tensor  # [masked]
    targets: torch.Tensor  # [masked]


def mask(batch: Ints, pieces: Pieces, share: float, rng: np.random.Generator) -> Masked:
    """Hide a share of the words as BERT does, all pieces of a word together."""
    flat = batch.ravel()
    word = np.cumsum(~pieces.inner[flat])
    chosen = rng.random(flat.size + 1)[word] < share
    positions = np.flatnonzero(chosen & ~pieces.special[flat])
    fate = rng.random(flat.size + 1)[word[positions]]
    hidden = flat.copy()
    hidden[positions[fate < 0.8]] = pieces.mask
    other = positions[fate >= 0.9]  # what is left, a tenth, stays as it is
    hidden[other] = rng.choice(np.flatnonzero(~pieces.special), other.size)
    return Masked(
        ids=torch.from_numpy(hidden.reshape(batch.shape)),
        attention=torch.from_numpy((batch != pieces.pad).astype(np.int64)),
        positions=torch.from_numpy(positions),
        targets=torch.from_numpy(flat[positions]),
    )
