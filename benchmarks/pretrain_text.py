"""The text that the tiny masked language model learns from, cleaned, tokenised and laid out in batches."""

from __future__ import annotations

import ast
import hashlib
import logging
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

log = logging.getLogger(__name__)
Ints = npt.NDArray[np.int64]

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)

# Tests and vendored tools are no documentation; turtledemo and idlelib docstrings are mostly key bindings.
SKIPPED_FOLDERS = {"test", "tests", "idle_test", "idlelib", "turtledemo", "lib2to3", "ensurepip", "pydoc_data"}
SKIPPED_FOLDERS |= {"site-packages", "dist-packages", "_vendor"}

_ROLE = re.compile(r":[a-zA-Z][\w:+-]*:`~?!?([^`<]*?)(?:\s*<[^>]*>)?`")  # :func:`len` -> len
_LINK = re.compile(r"`([^`<]+?)\s*<[^>]*>`_{0,2}")
_TICKS = re.compile(r"``?([^`]*)``?_{0,2}|''([^']+)''")
_EMPHASIS = re.compile(r"(?<![\w*])\*{1,2}([^\s*](?:[^*\n]*[^\s*])?)\*{1,2}(?![\w*])")
_FOOTNOTE = re.compile(r"\s*\[(?:\d+|#\w*)\]_?|\|(\w+)\|")
_BULLET = re.compile(r"^(?:[*+-]|\d+[.)]|\(?[a-z]\))\s+")
_RULE = re.compile(r"^[\W_]{3,}$")
_FIELD = re.compile(r"^(?:\.\. |:\w[\w ]*:|>>>|\.\.\. |@|#|\$ |%)")
_SENTENCE = re.compile(r"(?<=[a-z0-9)\"'][.!?])\s+(?=[\"'(]?[A-Z])")
_UNKNOWN = re.compile(r"\s*\(?\s*\[UNK\]\s*\)?")
_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[A-Za-z]{2,}|\b[aI]\b")


@dataclass(frozen=True)
class TextConfig:
    """Say where the text lies and which part of it to keep out of training."""

    corpora: Path  # folder with plain_en.txt and words_en_10k.txt
    held_out: float = 0.01  # share of the lines that are never trained on
    max_unknown: int = 1  # a sentence of plain_en.txt with more literal [UNK] than this is dropped


@dataclass(frozen=True)
class Text:
    """Hold the training lines, the held-out lines and the word list (the tokenizer alone reads that)."""

    train: list[str]
    held_out: list[str]
    words: list[str]
    sources: dict[str, int]  # lines per source, after cleaning


def collect(config: TextConfig) -> Text:
    """Read, clean, deduplicate and split all text; the split depends on each line's hash alone."""
    words = (config.corpora / "words_en_10k.txt").read_text(encoding="utf-8").split()
    sources: dict[str, int] = {}
    seen: set[str] = set()
    train: list[str] = []
    held_out: list[str] = []
    for name, lines in (("plain_en", plain_lines(config)), ("python_docs", documentation_lines())):
        for line in lines:
            digest = hashlib.sha256(line.lower().encode()).hexdigest()
            if digest in seen:
                continue
            seen.add(digest)
            sources[name] = sources.get(name, 0) + 1
            (held_out if int(digest[:8], 16) < config.held_out * 2**32 else train).append(line)
    log.info("text: %s, %d lines held out", sources, len(held_out))
    return Text(train, held_out, words, sources)


def plain_lines(config: TextConfig) -> Iterator[str]:
    """Yield the lines of plain_en.txt; where a line holds a literal [UNK], only its readable sentences."""
    for raw in (config.corpora / "plain_en.txt").read_text(encoding="utf-8").splitlines():
        # The paragraphs with many [UNK] are long: dropping them whole would lose a fifth of the text.
        parts = _SENTENCE.split(raw) if "[UNK]" in raw else [raw]
        kept = [p for p in parts if p.count("[UNK]") <= config.max_unknown]
        line = _SPACES.sub(" ", _UNKNOWN.sub("", " ".join(kept))).strip()
        if _is_prose(line):
            yield line


def documentation_lines() -> Iterator[str]:
    """Yield the sentences of the standard library's help topics and docstrings; import no module of it."""
    library = Path(sysconfig.get_path("stdlib"))
    for text in _topics(library / "pydoc_data" / "topics.py"):
        yield from sentences(text)
    for path in sorted(library.rglob("*.py")):
        if not SKIPPED_FOLDERS & set(path.relative_to(library).parts):
            for text in _docstrings(path):
                yield from sentences(text)


def _topics(path: Path) -> Iterator[str]:
    """Yield the help topics, read as literals: the file is one assignment of a dictionary."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Dict):
            for value in node.values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def _docstrings(path: Path) -> Iterator[str]:
    """Yield every docstring of one source file."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def _parse(path: Path) -> ast.Module:
    """Parse a source file; one that is not valid Python (a template, say) counts as empty."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in the library's own strings
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def sentences(text: str) -> Iterator[str]:
    """Yield the prose sentences of a piece of reStructuredText, mark-up removed and code left out."""
    for paragraph in re.split(r"\n\s*\n", text.expandtabs()):
        for block in _blocks(paragraph):
            plain = _ROLE.sub(r"\1", block)
            plain = _TICKS.sub(lambda m: m.group(1) or m.group(2) or "", _LINK.sub(r"\1", plain))
            plain = _SPACES.sub(" ", _EMPHASIS.sub(r"\1", _FOOTNOTE.sub(r"\1", plain)))
            plain = plain.replace("::", ":").replace(" -- ", " - ").strip()
            for sentence in _SENTENCE.split(plain):
                if _is_prose(sentence):
                    yield sentence


def _blocks(paragraph: str) -> Iterator[str]:
    """Yield a paragraph's list items and running text apart, each joined into one line."""
    lines: list[str] = []
    for raw in paragraph.splitlines():
        line = raw.strip()
        if _FIELD.match(line) or _RULE.match(line):
            continue
        if _BULLET.match(line) and lines:
            yield " ".join(lines)
            lines = []
        lines.append(_BULLET.sub("", line))
    if lines:
        yield " ".join(lines)


def _is_prose(line: str) -> bool:
    """Tell prose from code, tables and fragments: at least four words, and mostly made of words."""
    found = _WORD.findall(line)
    letters = sum(map(len, found))
    odd = sum(line.count(c) for c in "=<>{}|\\_()[]")
    return len(found) >= 4 and len(line) < 4000 and letters > 0.68 * len(line) and odd <= 0.05 * len(line)


@dataclass(frozen=True)
class Lines:
    """Hold encoded lines end to end: line i is ids[starts[i]:starts[i + 1]], [CLS] and [SEP] included."""

    ids: Ints
    starts: Ints

    @property
    def lengths(self) -> Ints:
        """Give each line's number of positions."""
        return np.diff(self.starts)


def train_tokenizer(lines: list[str], vocab: int) -> Tokenizer:
    """Train a lower-cased WordPiece tokenizer with BERT's normaliser, splitter and template."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab, special_tokens=SPECIAL, limit_alphabet=120, show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return tokenizer


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """List the pieces in the order of their ids."""
    pieces: dict[str, int] = tokenizer.get_vocab()
    return sorted(pieces, key=pieces.__getitem__)


def encode(tokenizer: Tokenizer, lines: list[str], max_length: int) -> Lines:
    """Encode one line per sequence; cut a longer one into several."""
    room = max_length - 2
    pieces = [e.ids for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
    cut = [ids[i : i + room] for ids in pieces for i in range(0, len(ids), room)]
    rows = [[CLS, *ids, SEP] for ids in cut if len(ids) >= 4]
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


def pad(lines: Lines, rows: Ints) -> Ints:
    """Lay lines side by side, padded to the longest: [batch, seq]."""
    batch = np.full((len(rows), int(lines.lengths[rows].max())), PAD, np.int64)
    for out, row in zip(batch, rows, strict=True):
        ids = lines.ids[lines.starts[row] : lines.starts[row + 1]]
        out[: len(ids)] = ids
    return batch


def stream(lines: Lines, batch_tokens: int, seed: int, first: int) -> Iterator[Ints]:
    """Yield padded batches for ever, from the one numbered `first`: seed and epoch alone decide the order."""
    epoch, number = 0, 0
    while True:
        plan = plan_epoch(lines.lengths, batch_tokens, np.random.default_rng((seed, epoch)))
        for rows in plan[max(0, first - number) :]:
            yield pad(lines, rows)
        number += len(plan)
        epoch += 1


@dataclass(frozen=True)
class Masked:
    """Hold one batch with its masks; positions index the flattened batch."""

    ids: torch.Tensor  # [batch, seq]
    attention: torch.Tensor  # [batch, seq]
    positions: torch.Tensor  # [masked]
    targets: torch.Tensor  # [masked]


def mask(batch: Ints, inner: npt.NDArray[np.bool_], share: float, rng: np.random.Generator) -> Masked:
    """Hide a share of the words as BERT does; `inner` [vocab] marks the pieces that continue a word."""
    flat = batch.ravel()
    word = np.cumsum(~inner[flat])
    chosen = rng.random(flat.size + 1)[word] < share
    positions = np.flatnonzero(chosen & (flat >= len(SPECIAL)))
    fate = rng.random(flat.size + 1)[word[positions]]
    hidden = flat.copy()
    hidden[positions[fate < 0.8]] = MASK
    other = positions[fate >= 0.9]  # what is left, a tenth, stays as it is
    hidden[other] = rng.integers(len(SPECIAL), len(inner), other.size)
    return Masked(
        ids=torch.from_numpy(hidden.reshape(batch.shape)),
        attention=torch.from_numpy((batch != PAD).astype(np.int64)),
        positions=torch.from_numpy(positions),
        targets=torch.from_numpy(flat[positions]),
    )
