"""What the demo measures of one encoder, in the same way before and after the fine-tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.demo.sentences import QUERIES, TOPICS
from mirrorkit.evaluation.geometry import Geometry, measure_geometry
from mirrorkit.evaluation.pairs import (
    OnProgress,
    Score,
    TextEncoder,
    encode_distinct,
    read_pairs,
    score_pairs,
    unit_rows,
)
from mirrorkit.evaluation.sts import StsReport, evaluate_sts

GRADED = Path(__file__).parent.parent / "assets" / "graded.tsv"
NEIGHBOURS = 3  # shown for each query

Cosines = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Neighbour:
    text: str
    cosine: float


@dataclass(frozen=True)
class TopicMap:
    """Cosines of the topic sentences with one another, [n, n], in the order in which the topics list them."""

    cosines: Cosines
    same_topic: float  # mean over pairs of different sentences of one topic
    other_topic: float  # mean over pairs of sentences of two topics


@dataclass(frozen=True)
class Snapshot:
    """All the figures of one encoder; `sts` is None where there is no STS data."""

    graded: Score
    geometry: Geometry
    neighbours: Mapping[str, Sequence[Neighbour]]
    topics: TopicMap
    sts: StsReport | None

    def as_dict(self) -> dict[str, object]:
        return {
            "graded": self.graded.as_dict(),
            "geometry": self.geometry.as_dict(),
            "sts": self.sts.as_dict() if self.sts else None,
            "neighbours": {q: [{"text": n.text, "cosine": n.cosine} for n in ns] for q, ns in self.neighbours.items()},
            "topics": {"same_topic": self.topics.same_topic, "other_topic": self.topics.other_topic},
        }


def take_snapshot(encoder: TextEncoder, sts: Path | None, on_progress: OnProgress | None = None) -> Snapshot:
    """Measure `encoder` on the graded set, on the demo's own sentences, and on the seven STS sets in `sts`."""
    graded = read_pairs(GRADED, score_column=0)
    return Snapshot(
        graded=score_pairs(encoder, [graded])[graded.name],
        geometry=measure_geometry(encoder, [graded]),
        neighbours=nearest(encoder, QUERIES),
        topics=topic_map(encoder, TOPICS),
        sts=evaluate_sts(encoder, sts, on_progress=on_progress) if sts else None,
    )


def nearest(encoder: TextEncoder, queries: Sequence[str]) -> dict[str, list[Neighbour]]:
    """Return for each query, a sentence of the graded set, its nearest others in that set, nearest first."""
    vectors = encode_distinct(encoder, [read_pairs(GRADED, score_column=0)])
    texts = list(vectors.index)
    cosines = vectors.rows(queries) @ vectors.matrix.T
    found = {}
    for query, row in zip(queries, cosines, strict=True):
        order = [int(i) for i in np.argsort(-row, kind="stable") if texts[i] != query]
        found[query] = [Neighbour(texts[i], float(row[i])) for i in order[:NEIGHBOURS]]
    return found


def topic_map(encoder: TextEncoder, topics: Mapping[str, Sequence[str]]) -> TopicMap:
    """Compare every sentence of `topics` with every other."""
    vectors = unit_rows(encoder.encode([text for texts in topics.values() for text in texts]))
    cosines = vectors @ vectors.T
    topic = np.repeat(np.arange(len(topics)), [len(texts) for texts in topics.values()])
    same = topic[:, None] == topic[None, :]
    others = ~np.eye(len(topic), dtype=bool)
    return TopicMap(cosines, float(cosines[same & others].mean()), float(cosines[~same].mean()))
