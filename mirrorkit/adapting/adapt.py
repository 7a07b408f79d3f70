"""Fit an adapter: choose among maps by held-out recall, measure the choice on other texts, publish it if it is good."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.adapting.fit import Fitted, fitted
from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.evaluation.nearest import nearest
from mirrorkit.formats.adapter import SIMILARITIES, Adapter, AdapterRecord, Recalls, Side, write_adapter
from mirrorkit.machine.facts import versions
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress, Silent
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.runtime.encoder import CHUNK, Encoder
from mirrorkit.text.ragged import Floats
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading

LEAST = 200  # distinct texts
_BEST = 10  # documents of a query that count
_ENOUGH = 0.002  # of recall, by which a simpler map may fall behind the best
_MOST_QUERIES = 1000

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class AdaptResult:
    """What was fitted and measured, and whether it was good enough to be written.

    >>> from mirrorkit import adapt
    >>> variants = {"old_variant": "fp32", "new_variant": "int8"}
    >>> result = adapt("bundle", "bundle", "corpus.txt", "adapter", min_recall=0.5, **variants)
    >>> result.published, result.pairs, result.recall_at_10.queries
    (True, 384, 48)
    """

    out: str
    published: bool
    map: str  # the chosen one: orthogonal, low-rank or mlp
    rank: int
    recall_at_10: Recalls
    min_recall: float  # the limit
    tried: dict[str, float]  # recall@10 of each map on the texts that the choice was made by
    pairs: int  # texts that it was fitted to
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what a person wants to read of it."""
        found = self.recall_at_10
        before = "no" if found.before is None else f"{100 * found.before:.1f} %"
        head = (
            f"recall@10 of new queries among old vectors: {before} as they are, {100 * found.after:.1f} % adapted; "
            f"of old queries {100 * found.old:.1f} % ({found.queries:,} queries, {found.texts:,} texts)"
        )
        if found.before is not None and found.before >= found.after - _ENOUGH:
            head += "; the adapter adds nothing"
        how = f"{self.map}, rank {self.rank}, fitted to {self.pairs:,} texts in {self.seconds:.1f} s"
        if self.published:
            return [head, f"wrote {self.out}: {how}"]
        return [head, f"not published: {how}, finds less than {100 * self.min_recall:.1f} %; encode the texts again"]


def adapt(
    old: str | Path,
    new: str | Path,
    corpus: str | Path,
    out: str | Path,
    *,
    old_variant: str = "auto",
    new_variant: str = "auto",
    limit: int = 20_000,
    min_recall: float = 0.9,
    text_column: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> AdaptResult:
    """Fit a map from vectors of the bundle `new` into the space of `old`, so that what `old` has encoded can stay.

    Queries of the new encoder are adapted, stored vectors and their index are not touched: that saves both the encoding
    and the writing of them, and costs one small product a query (Drift-Adapter, Vejendla 2025, arXiv:2509.23471).
    `Encoder(new, adapter=out)` applies it.

    At most `limit` texts of `corpus`, evenly drawn, are encoded by both. Four fifths are fitted to; a tenth chooses
    among a rotation, affine maps of limited rank and a small residual layer, by recall@10; another tenth, or 1,000, is
    what the reported recall is of. What counts as right is what the new encoder finds among its own vectors of all
    these texts. Nothing is written where the recall is below `min_recall`.

    Raises CorpusError for fewer than 200 distinct texts, ConfigError for an option out of range, ModelError for two
    encoders of different or unsuitable similarity, OutputError where nothing can be written.

    >>> from mirrorkit import Encoder, adapt
    >>> variants = {"old_variant": "fp32", "new_variant": "int8"}
    >>> result = adapt("bundle", "bundle", "corpus.txt", "adapter", min_recall=0.5, **variants)
    >>> Encoder("bundle", "int8", adapter="adapter").encode(["a text"]).shape
    (1, 384)
    """
    started = time.perf_counter()
    if limit < LEAST:
        raise ConfigError(f"limit {limit}: must be at least {LEAST}")
    if not 0 <= min_recall <= 1:
        raise ConfigError(f"min_recall {min_recall}: must be from 0 to 1")
    target = local_path(out)
    check_target(target, overwrite=overwrite)
    progress = progress or Silent()
    sides = Encoder(old, old_variant, threads=threads), Encoder(new, new_variant, threads=threads)
    _check_sides(*sides)
    texts, digest = _texts(corpus, text_column, limit)
    measured = _Measured(*sides, texts, seed, progress)
    progress.phase("fitting")
    x, y = measured.pairs
    candidates = list(fitted(x, y, seed))
    scores = [measured.recall(one, measured.choosing) for one in candidates]
    chosen = next(one for one, score in zip(candidates, scores, strict=True) if score >= max(scores) - _ENOUGH)
    recalls = measured.report(chosen)
    published = recalls.after >= min_recall
    if published:
        adapter = Adapter(_record(chosen, *sides, recalls, digest), chosen.weights)
        with publish_folder(target, overwrite=overwrite) as folder:
            write_adapter(folder, adapter)
    tried: dict[str, float] = {}
    for one, score in zip(candidates, scores, strict=True):
        name = f"{one.map} {one.rank}"
        tried[name] = max(score, tried.get(name, 0.0))
    spent = time.perf_counter() - started
    return AdaptResult(str(out), published, str(chosen.map), chosen.rank, recalls, min_recall, tried, len(x), spent)


class _Measured:
    """Texts encoded by both encoders, parted into those to fit to, to choose by, and to report."""

    def __init__(self, old: Encoder, new: Encoder, texts: list[str], seed: int, progress: Progress) -> None:
        self.normalized = old.usage.normalized or old.usage.similarity == "cosine"
        progress.phase("encoding by the old encoder")
        self.old = _unit(_encoded(old, texts, old.usage.document_prompt(), progress), old)
        progress.phase("encoding by the new encoder")
        self.new = _unit(_encoded(new, texts, new.usage.document_prompt(), progress), new)
        order = np.random.default_rng(seed).permutation(len(texts))
        count = min(len(texts) // 10, _MOST_QUERIES)
        self.choosing, self.reporting, self._fit = order[:count], order[count : 2 * count], np.sort(order[2 * count :])
        asked = order[: 2 * count]
        self._queries = {
            name: dict(zip(asked.tolist(), _queries(encoder, vectors, texts, asked), strict=True))
            for name, encoder, vectors in (("old", old, self.old), ("new", new, self.new))
        }

    @property
    def pairs(self) -> tuple[Floats, Floats]:
        return self.new[self._fit], self.old[self._fit]

    def recall(self, one: Fitted, rows: Places) -> float:
        """Return the recall of new queries that this map has brought among the old vectors."""
        return self._overlap(rows, _applied(one, self.queries("new", rows), normalized=self.normalized))

    def report(self, one: Fitted) -> Recalls:
        """Return what is reported, of texts that neither fit nor choice has seen."""
        rows = self.reporting
        as_they_are = self.queries("new", rows)
        same = self.old.shape[1] == self.new.shape[1]
        return Recalls(
            self._overlap(rows, as_they_are) if same else None,
            self.recall(one, rows),
            self._overlap(rows, self.queries("old", rows)),
            len(rows),
            len(self.old),
        )

    def queries(self, name: str, rows: Places) -> Floats:
        return np.stack([self._queries[name][row] for row in rows.tolist()])

    def _overlap(self, rows: Places, queries: Floats) -> float:
        right = nearest(self.queries("new", rows), self.new, _BEST, rows.tolist())
        found = nearest(queries, self.old, _BEST, rows.tolist())
        return float(np.mean([len({*a} & {*b}) / _BEST for a, b in zip(right.tolist(), found.tolist(), strict=True)]))


def _applied(one: Fitted, vectors: Floats, *, normalized: bool) -> Floats:
    side = Side("", "", 0)
    record = AdapterRecord(str(one.map), one.rank, side, side, "", normalized, Recalls(None, 0, 0, 0, 0), "", {})
    return Adapter(record, one.weights)(vectors)


def _queries(encoder: Encoder, vectors: Floats, texts: list[str], rows: Places) -> Floats:
    """Return the vectors of texts as queries, which are those of documents where the model has no prompts."""
    if encoder.usage.prompt(name="query") == encoder.usage.document_prompt():
        return vectors[rows]
    return _unit(encoder.encode_query([texts[row] for row in rows.tolist()]), encoder)


def _encoded(encoder: Encoder, texts: list[str], prompt: str, progress: Progress) -> Floats:
    parts = []
    for part in encoder.encode_iter(texts, chunk=CHUNK, prompt=prompt):
        parts.append(part)
        progress.advance(min(len(parts) * CHUNK, len(texts)), len(texts))
    return np.concatenate(parts)


def _unit(vectors: Floats, encoder: Encoder) -> Floats:
    """Return vectors whose products are the model's own similarity."""
    if encoder.usage.similarity != "cosine" or encoder.usage.normalized:
        return vectors
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _check_sides(old: Encoder, new: Encoder) -> None:
    a, b = old.usage.similarity, new.usage.similarity
    if a != b or a not in SIMILARITIES:
        wanted = " or ".join(SIMILARITIES)
        raise ModelError(f"the old encoder compares by {a}, the new one by {b}; both must compare by {wanted}")
    if old.fingerprint == new.fingerprint:
        raise ModelError(f"both are the same encoder, {old.fingerprint[:12]}; its vectors need no adapter")


def _texts(corpus: str | Path, column: str | None, limit: int) -> tuple[list[str], str]:
    """Return an even sample of the distinct texts of a file, and the hash of the file."""
    source = TextSource(str(local_path(corpus)), Reading((column,) if column else None))
    distinct = list(dict.fromkeys(text for (text,) in source.records() if text.strip()))
    if len(distinct) < LEAST:
        raise CorpusError(f"{corpus}: holds {len(distinct)} distinct texts; at least {LEAST} are needed")
    rows = np.linspace(0, len(distinct) - 1, min(limit, len(distinct))).astype(np.intp)
    return [distinct[row] for row in rows.tolist()], source.sha256


def _record(chosen: Fitted, old: Encoder, new: Encoder, recalls: Recalls, corpus: str) -> AdapterRecord:
    side: Callable[[Encoder], Side] = lambda encoder: Side(encoder.fingerprint, encoder.variant, encoder.dim)  # noqa: E731
    return AdapterRecord(
        map=str(chosen.map),
        rank=chosen.rank,
        new=side(new),
        old=side(old),
        similarity=old.usage.similarity,
        normalized=old.usage.normalized or old.usage.similarity == "cosine",
        recall_at_10=recalls,
        corpus=corpus,
        versions=versions("mirrorkit", "numpy", "onnxruntime", "tokenizers"),
    )
