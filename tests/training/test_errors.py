"""What a fine-tune refuses, and what an interrupted one leaves behind: nothing."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import SentenceEncoder, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, CorpusError, ModelError, OutputError, TrainingError
from mirrorkit.model.hub import SHIPPED

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:96]
SETTINGS: dict[str, Any] = {"batch_size": 32, "device": "cpu", "autocast": "fp32"}


@pytest.mark.parametrize(("texts", "count"), [([], "no"), (["a"], "1"), (["a", " a\n"], "1"), (["", " "], "no")])
def test_fewer_than_two_distinct_strings_is_an_error(tmp_path: Path, texts: list[str], count: str) -> None:
    out = tmp_path / "out"
    for keep_repeats in (False, True):
        with pytest.raises(CorpusError, match=f"strings in memory: {count} usable string; .* at least 2 distinct"):
            finetune("tiny", texts, out, keep_repeats=keep_repeats)
    assert list(tmp_path.iterdir()) == []


def test_more_tokens_than_the_model_has_positions_is_an_error(tmp_path: Path) -> None:
    for pooling in ("mean", "mean-padded"):
        with pytest.raises(ConfigError, match=r"max_length 129: this model takes .*128 tokens"):
            finetune("tiny", SENTENCES, tmp_path / "out", max_length=129, pooling=pooling)
    assert list(tmp_path.iterdir()) == []
    finetune("tiny", [*SENTENCES[:3], "word " * 500], max_length=128, **SETTINGS)


def test_a_training_on_longer_strings_than_the_folder_takes_raises_what_is_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    base = tmp_path / "base"
    SentenceEncoder.load("tiny", max_length=32).save(base)
    words = " ".join(f"word{i}" for i in range(60))
    texts = [*SENTENCES[:7], words]
    with caplog.at_level(logging.WARNING, logger="mirrorkit"):
        longer = finetune(base, texts, tmp_path / "longer", max_length=100, **SETTINGS)
    assert "`max_length=100` is more than the 32 tokens of the base: the saved model takes 100" in caplog.text
    shorter = finetune(base, texts, tmp_path / "shorter", max_length=16, **SETTINGS)
    assert (longer.encoder.max_length, shorter.encoder.max_length) == (100, 32)
    for name, length in (("longer", 100), ("shorter", 32)):
        theirs = sentence_transformers.SentenceTransformer(str(tmp_path / name), device="cpu")
        assert theirs.max_seq_length == length
        assert len(theirs.tokenize([words])["input_ids"][0]) == length
        assert SentenceEncoder.load(tmp_path / name).max_length == length
        assert json.loads((tmp_path / name / "training.json").read_text("utf-8"))["max_length"] == length
        vectors = SentenceEncoder.load(tmp_path / name).encode(texts)
        np.testing.assert_allclose(vectors, theirs.encode(texts, show_progress_bar=False), atol=1e-5)


@pytest.mark.parametrize(("rate", "strings"), [(1e38, 8), (1e30, 8), (1e38, 96)])
def test_a_run_that_breaks_the_weights_is_never_saved(tmp_path: Path, rate: float, strings: int) -> None:
    """With 8 strings there is one step only, whose loss is still that of the base."""
    with pytest.raises(TrainingError, match="lower `learning_rate`"):
        finetune("tiny", SENTENCES[:strings], tmp_path / "out", learning_rate=rate, **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_base_with_broken_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(SHIPPED["tiny"], base)
    tensors = load_file(base / "model.safetensors")
    name = next(name for name in tensors if "layer.0.attention.self.query.weight" in name)
    tensors[name][0, 0] = float("nan")
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="NaN or infinity"):
        finetune(base, SENTENCES, tmp_path / "out", **SETTINGS)
    assert not (tmp_path / "out").exists()


def test_an_existing_model_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    finetune("tiny", SENTENCES[:8], out, **SETTINGS)
    old = (out / "model.safetensors").read_bytes()
    with pytest.raises(OutputError, match="`overwrite=True`"):
        finetune(tmp_path / "no such base", "no such corpus", out)  # refused before anything is looked at
    finetune("tiny", SENTENCES[:8], out, seed=1, overwrite=True, **SETTINGS)
    assert (out / "model.safetensors").read_bytes() != old
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


class Interrupter:
    """Press Ctrl-C in the phase `moment`, or at the first step."""

    def __init__(self, moment: str) -> None:
        self.moment = moment

    def phase(self, name: str) -> None:
        if name == self.moment:
            raise KeyboardInterrupt

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        assert total is not None
        assert "loss" in figures  # nothing is scored here
        if self.moment == "step":
            raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["reading the corpus", "loading the model", "step", "saving"])
def test_an_interrupt_leaves_nothing(tmp_path: Path, moment: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        finetune("tiny", SENTENCES, tmp_path / "out", progress=Interrupter(moment), **SETTINGS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["encoder_save", "card"])
def test_an_interrupt_while_saving_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def interrupt(*_: object) -> None:
        assert list(tmp_path.glob(".out.mirrorkit/new"))
        raise KeyboardInterrupt

    target = {"encoder_save": "mirrorkit.model.encoder.write_layout", "card": "mirrorkit.training.saving.model_card"}[
        name
    ]
    monkeypatch.setattr(target, lambda *args, **_: interrupt(*args))
    with pytest.raises(KeyboardInterrupt):
        finetune("tiny", SENTENCES[:8], tmp_path / "out", **SETTINGS)
    assert list(tmp_path.iterdir()) == []
