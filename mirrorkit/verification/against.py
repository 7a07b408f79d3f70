"""Stored vectors against an encoder: did this very model make them, one that is as good as it, or another?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.formats.vectors_record import VectorsRecord, read_record
from mirrorkit.paths import local_path
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.pairwise import pairwise
from mirrorkit.text.ragged import Floats

SAME_WITHIN = 1e-4  # of any component; what another processor or release of the engine adds to the same graph
CLOSE = 0.95  # lowest cosine; what int8 and int4 keep, see the limits of the proof


class Verdict(str, Enum):
    """What came of the comparison."""

    SAME = "same"
    CLOSE = "close"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Agreement:
    """How the vectors in a file compare with those that an encoder gives to the texts recorded with them.

    `cosine_min` and `max_abs` are the lowest cosine and the largest difference in a component over these texts,
    `similarity_change` the largest change in how alike two of them are; None where the lengths of vectors differ.

    >>> from mirrorkit import check_vectors, encode_file
    >>> result = encode_file("bundle", "corpus.txt", "of-int8.npy", variant="int8")
    >>> found = check_vectors("bundle", "of-int8.npy", variant="fp32")
    >>> found.verdict.value, found.recorded_variant, found.variant, found.ok
    ('close', 'int8-fused', 'fp32-fused', True)
    """

    vectors: str
    bundle: str
    verdict: Verdict
    fingerprint: str  # of the encoder
    recorded_fingerprint: str
    variant: str
    recorded_variant: str
    dim: int
    recorded_dim: int
    texts: int
    cosine_min: float | None
    max_abs: float | None
    similarity_change: float | None

    @property
    def ok(self) -> bool:
        """Whether vectors of this encoder may be searched for among those in the file."""
        return self.verdict is not Verdict.DIFFERENT

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {"ok": self.ok, **asdict(self), "verdict": self.verdict.value}

    def lines(self) -> list[str]:
        """Return what a person wants to read of it."""
        same = self.fingerprint == self.recorded_fingerprint
        known = "the same fingerprint as" if same else "another fingerprint than"
        variants = f"{self.recorded_variant} then, {self.variant} now"
        head = f"{self.verdict.value}: {self.bundle} has {known} the encoder of {self.vectors} ({variants})"
        if self.cosine_min is None:
            return [head, f"vectors of {self.recorded_dim} numbers there, {self.dim} here"]
        figures = (
            f"{self.texts} texts: lowest cosine {self.cosine_min:.5f}, largest difference {self.max_abs:.1e}, "
            f"similarities move by up to {self.similarity_change:.4f}"
        )
        if self.verdict is not Verdict.CLOSE:
            return [head, figures]
        assert self.similarity_change is not None
        return [head, figures, f"results less than {2 * self.similarity_change:.4f} apart may change places"]


def check_vectors(
    bundle: str | Path, vectors: str | Path, *, variant: str | None = None, revision: str | None = None
) -> Agreement:
    """Tell whether the encoder of `bundle` makes the vectors of a file that `encode_file` wrote.

    Encodes the texts that are recorded with the vectors, with the prompt and the options of then, and compares.
    `variant` None takes the one that made the file, or else the default one.

    The verdict is `same` where no component differs by more than 0.0001, `close` where the lowest cosine is at least
    0.95, as it is for another variant of one model, and else `different`.

    Raises CorpusError for a file that nothing is recorded of, BundleError and ConfigError as `Encoder` does.

    >>> from mirrorkit import check_vectors, encode_file
    >>> result = encode_file("bundle", "corpus.txt", "stored.npy")
    >>> check_vectors("bundle", "stored.npy").verdict.value
    'same'
    """
    file = local_path(vectors)
    record = read_record(file)
    encoder = _encoder(bundle, variant, record, revision)
    then = np.array([canary.vector for canary in record.canaries], dtype=np.float32)
    how: dict[str, Any] = {
        "prompt": record.prompt,
        "normalize": record.normalize,
        "truncate_dim": record.truncate_dim,
    }
    now = np.concatenate([encoder.encode([canary.text], **how) for canary in record.canaries])  # one by one, as then
    figures = _figures(then, now, record.similarity) if then.shape == now.shape else (None, None, None)
    cosine_min, max_abs, _ = figures
    verdict = Verdict.DIFFERENT
    if cosine_min is not None and max_abs is not None and cosine_min >= CLOSE:
        verdict = Verdict.SAME if max_abs <= SAME_WITHIN else Verdict.CLOSE
    return Agreement(
        str(vectors),
        str(bundle),
        verdict,
        encoder.fingerprint,
        record.fingerprint,
        encoder.variant,
        record.variant,
        now.shape[1],
        then.shape[1],
        len(then),
        *figures,
    )


def _encoder(bundle: str | Path, variant: str | None, record: VectorsRecord, revision: str | None) -> Encoder:
    long = "windows" if record.long == "windows" else "cut"  # what was refused for its length has no vector there
    if variant is not None:
        return Encoder(bundle, variant, revision=revision, long=long)
    try:
        return Encoder(bundle, record.variant, revision=revision, long=long)
    except ConfigError:  # the bundle has none of that name
        return Encoder(bundle, revision=revision, long=long)


def _figures(then: Floats, now: Floats, similarity: str) -> tuple[float, float, float]:
    """Return the lowest cosine, the largest difference in a component, and the largest change in a similarity."""
    lengths = np.linalg.norm(then, axis=1) * np.linalg.norm(now, axis=1)
    cosines = (then * now).sum(axis=1) / np.maximum(lengths, 1e-12)
    change = np.abs(pairwise(then, then, similarity) - pairwise(now, now, similarity))
    return float(cosines.min()), float(np.abs(then - now).max()), float(change.max())
