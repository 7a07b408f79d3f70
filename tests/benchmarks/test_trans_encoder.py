"""Self-distillation with a cross-encoder: which pairs are drawn, that all of it runs, and what the section says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import nn

from benchmarks import trans_encoder as study
from benchmarks.ladder.table import PAGE
from benchmarks.record import RESULTS
from benchmarks.trans_encoder_report import SECTION, section
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.formats.json_file import read_object
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.corpus import Corpus, load_corpus

STRINGS = [
    f"the {colour} {thing} is over here now"
    for colour in ("red", "blue", "green", "grey")
    for thing in ("car", "cup", "hat", "dog", "tree")
]


def test_half_of_the_partners_are_near_and_none_is_the_string_itself() -> None:
    rng = np.random.default_rng(0)
    angles = rng.permutation(200) * 2 * np.pi / 200
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    pairs = study.draw_pairs(vectors, 4, rng)
    assert sorted(set(pairs.ravel().tolist())) == list(range(200))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    cosines = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
    near = (cosines > np.cos(2.5 * 2 * np.pi / 200)).sum()  # two on either side
    assert 100 <= near <= 112  # and a few of the 100 by chance
    assert 60 < (pairs[:, 0] < pairs[:, 1]).sum() < 140
    with pytest.raises(ConfigError, match="near 200: must be at least 1 and below the 200 strings"):
        study.draw_pairs(vectors, 200, rng)


def test_batches_have_every_row_once() -> None:
    lengths = np.random.default_rng(1).integers(5, 60, size=101)
    found = list(study.batches(lengths, 8, np.random.default_rng(2)))
    assert sorted(np.concatenate(found).tolist()) == list(range(101))
    assert sorted(map(len, found))[1:] == [8] * 12
    assert np.mean([np.ptp(lengths[rows]) for rows in found]) < 0.3 * np.ptp(lengths)


def test_fit_learns_what_it_is_asked_for() -> None:
    torch.manual_seed(0)
    given = torch.randn(64, 4)
    wanted = given @ torch.tensor([1.0, -2.0, 0.5, 0.0])
    model = nn.Linear(4, 1)
    steps = [
        rows for _ in range(60) for rows in study.batches(np.ones(64, dtype=np.int64), 16, np.random.default_rng(3))
    ]
    last = study.fit(model, lambda rows: nn.functional.mse_loss(model(given[rows])[:, 0], wanted[rows]), steps, 0.05)
    assert last < 0.05 < float(nn.functional.mse_loss(torch.zeros(64), wanted))


@pytest.fixture
def small(tiny_random: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a base of random weights, which the study is run on in place of its own."""
    folder = tiny_random("bert")
    pairs = GradedPairs("graded", [float(i % 5) for i in range(10)], STRINGS[:10], STRINGS[10:])

    class Labels:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.pairs = [pairs]

        def score(self, encoder: SentenceEncoder) -> dict[str, float]:
            return {"graded": float(encoder.encode(STRINGS[:1])[0, 0])}

    def corpus(*_: Any) -> Corpus:
        return load_corpus(STRINGS)

    monkeypatch.setattr(study, "base_folder", lambda _: folder)
    monkeypatch.setattr("benchmarks.ladder.worker.base_folder", lambda _: folder)
    monkeypatch.setattr(study, "Labels", Labels)
    monkeypatch.setattr(study, "read_corpus", corpus)
    return folder


def test_a_cycle_trains_both_and_is_not_run_again(small: Path, tmp_path: Path) -> None:
    page = tmp_path / "ladder.md"
    page.write_text(f"<!-- {SECTION}:begin -->\n<!-- {SECTION}:end -->\n", encoding="utf-8")
    options = ["--results", str(tmp_path), "--page", str(page), "--pairs", "16", "--near", "3", "--cross-batch", "4"]
    assert study.main([*options, "--seeds", "1"]) == 0
    (file,) = tmp_path.glob("trans_encoder_*.json")
    (cell,) = read_object(file)["cells"]
    assert cell["scores"]["bi-encoder"] != cell["scores"]["auto"]
    assert [*cell["cpu_seconds"]] == ["auto", "pairs", "cross-encoder", "its scores", "bi-encoder"]
    assert 0 < cell["mean_label"]["cross-encoder"] < 1
    made = page.read_text(encoding="utf-8")
    assert "| bi-encoder, taught by that | 1 |" in made
    before = file.read_bytes()
    assert study.main([*options, "--seeds", "1"]) == 0
    assert file.read_bytes() == before
    assert page.read_text(encoding="utf-8") == made


def test_bad_input_is_one_line(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "ladder.md"
    page.write_text("nothing", encoding="utf-8")
    where = ["--results", str(tmp_path), "--page", str(page)]
    assert study.main([*where, "--pairs", "21"]) == 2
    assert capsys.readouterr().err == "error: pairs 21: must be from 2 to 20, the strings of the corpus\n"
    assert study.main([*where, "--report"]) == 2


def test_the_section_on_the_page_is_that_of_the_records() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition(f"<!-- {SECTION}:begin -->\n")[2]
    assert shown.partition(f"\n<!-- {SECTION}:end -->")[0] == section(RESULTS)
