"""Word similarity: Spearman correlation of cosine with human scores over pairs of words."""

from __future__ import annotations

from pathlib import Path

from mirrorkit.evaluation.pairs import OnProgress, Score, TextEncoder, read_pairs, score_pairs
from mirrorkit.paths import local_path


def evaluate_lexical(encoder: TextEncoder, file: str | Path, on_progress: OnProgress | None = None) -> Score:
    """Score `encoder` on rows `word1<TAB>word2<TAB>score`, the format of SimLex-999.

    Raises CorpusError naming file and line for a row that does not fit.
    """
    data = read_pairs(local_path(file), score_column=2)
    return score_pairs(encoder, [data], on_progress)[data.name]
