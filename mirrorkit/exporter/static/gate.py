"""How much worse than its encoder a static variant may be, and what was measured. All limits of it stand here.

It is another model, so that no cosine between the two says anything: what counts is how well each tells what is alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mirrorkit.assets.documents import read_documents
from mirrorkit.assets.paths import GRADED, HELD_OUT
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.knn import LabelledTexts, knn_scores
from mirrorkit.evaluation.pairs import TextEncoder, score_pairs
from mirrorkit.verification.problem import Problem, Stage, missed

_LONGEST = 400  # characters of a document that are looked at: the encoder's time for them is the user's
_LEAST_LABEL = 5  # documents of a label, below which its texts have too few neighbours to be found


@dataclass(frozen=True)
class StaticLimits:
    """Limits on what is lost. A table lacks word order and context, and 240 pairs know a score to 3 points."""

    graded_drop: float = 10.0  # at most; points of Spearman x 100 on the shipped graded pairs
    knn_drop: float = 10.0  # at most; points of kNN accuracy, shipped documents by the module that they are of

    def limits(self) -> dict[str, float]:
        """Return the limits by name."""
        return asdict(self)


@dataclass(frozen=True)
class StaticReport:
    """What a static variant is made of, and how it does beside its encoder."""

    dim: int
    corpus: str
    corpus_sha256: str
    texts: int
    shipped_texts: int  # of them
    tokens: int  # of the texts, special ones left out
    frequencies: str  # where the weights of tokens are from
    seed: int
    graded_encoder: float  # Spearman x 100 on the shipped graded pairs
    graded: float
    graded_pairs: int
    knn_encoder: float  # share of documents whose ten nearest vote for their label, x 100
    knn: float
    knn_texts: int
    limits: StaticLimits = StaticLimits()

    @property
    def figures(self) -> dict[str, float]:
        """Return what is held to limits, by their names."""
        return {"graded_drop": self.graded_encoder - self.graded, "knn_drop": self.knn_encoder - self.knn}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return why it may not be published."""
        limits = self.limits.limits()
        return tuple(missed(Stage.NUMBERS, self.figures, limits, tuple(limits)))

    def as_dict(self) -> dict[str, Any]:
        """Return what mirrorkit.json records."""
        return {**asdict(self), **self.figures, "limits": self.limits.limits()}

    def lines(self) -> list[str]:
        """Return it in a few lines for people."""
        return [
            f"static is another model, of {self.dim} dimensions, fitted to {self.texts:,} texts ({self.source()}); "
            f"token weights from {self.frequencies}",
            f"static: graded pairs {self.graded_encoder:.2f} → {self.graded:.2f} (Spearman × 100), kNN accuracy "
            f"{self.knn_encoder:.1f} → {self.knn:.1f}",
        ]

    def source(self) -> str:
        """Return whose the texts are."""
        if self.shipped_texts in (0, self.texts):
            return self.corpus
        return f"{self.corpus}, filled up with {self.shipped_texts:,} shipped ones"


def compare(encoder: TextEncoder, static: TextEncoder) -> Mapping[str, float]:
    """Return the scores of both on shipped texts, by the names that StaticReport has for them."""
    pairs, documents = read_pairs(GRADED, score_column=0), _documents()
    scores: dict[str, float] = {"graded_pairs": len(pairs), "knn_texts": len(documents.texts)}
    for suffix, one in (("_encoder", encoder), ("", static)):
        scores[f"graded{suffix}"] = score_pairs(one, [pairs])[pairs.name].spearman
        scores[f"knn{suffix}"] = 100 * float(knn_scores(one, documents).mean())
    return scores


def _documents() -> LabelledTexts:
    """Return the shipped documents that nothing is trained on, each labelled with the package that it documents."""
    found = [(document.text[:_LONGEST], document.id.partition(".")[0]) for document in read_documents(HELD_OUT)]
    labels = [label for _, label in found]
    kept = [(text, label) for text, label in found if labels.count(label) >= _LEAST_LABEL]
    return LabelledTexts("documentation", [text for text, _ in kept], [label for _, label in kept], None)
