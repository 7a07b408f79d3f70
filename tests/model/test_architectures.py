"""Load, encode and fine-tune a tiny random model of every architecture that is promised to work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
import transformers

from mirrorkit import finetune
from mirrorkit.formats.pooling import Pooling
from mirrorkit.model.backbone import positions_of
from mirrorkit.model.encoder import SentenceEncoder


def plain_hidden_states(folder: Path, texts: list[str], max_length: int) -> list[npt.NDArray[np.float32]]:
    """Return the states of each text [its tokens, dim], computed alone and without padding by plain transformers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    states = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=max_length)["input_ids"]
        with torch.no_grad():
            states.append(model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy())
    return states


REDUCE: dict[Pooling, Any] = {
    Pooling.CLS: lambda states: states[0],
    Pooling.MEAN: lambda states: states.mean(axis=0),
    Pooling.MAX: lambda states: states.max(axis=0),
}


def test_a_padded_batch_gives_what_each_text_gives_alone(architecture: Path, real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(architecture)
    states = plain_hidden_states(architecture, real_texts, encoder.max_length)
    assert max(map(len, states)) == encoder.max_length > 4 * min(map(len, states))  # padded, and cut
    for pooling, reduce in REDUCE.items():
        pooled = np.stack([reduce(s) for s in states])
        encoder.pooling = pooling
        vectors = encoder.encode(real_texts, batch_tokens=1 << 20)  # all in one batch
        np.testing.assert_allclose(vectors, pooled / np.linalg.norm(pooled, axis=1, keepdims=True), atol=1e-5)


def test_the_longest_text_that_fits_is_encoded(architecture: Path, real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(architecture)
    positions = positions_of(encoder.backbone)
    assert positions == encoder.max_length == encoder.tokenizer.model_max_length
    assert encoder.tokenize([real_texts[14]]).lengths.tolist() == [positions]
    assert np.isfinite(encoder.encode([real_texts[14]])).all()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_few_steps_of_training_change_the_weights(
    architecture: Path, real_texts: list[str], tmp_path: Path, pooling: str
) -> None:
    result = finetune(
        architecture,
        real_texts[3:],
        tmp_path / "out",
        epochs=1,
        batch_size=10,
        max_length=24,
        learning_rate=1e-3,
        drophead=0.1,
        pooling=pooling,
        device="cpu",
        autocast="fp32",
    )
    assert result.stats.steps == 3
    assert np.isfinite(result.stats.loss)
    before = SentenceEncoder.load(architecture).state_dict()
    after = result.encoder.state_dict()
    matrices = [name for name, weight in before.items() if weight.is_floating_point() and weight.dim() == 2]
    unchanged = [name for name in matrices if torch.equal(before[name], after[name])]
    assert matrices
    assert unchanged == []
    loaded = SentenceEncoder.load(tmp_path / "out")
    np.testing.assert_array_equal(loaded.encode(real_texts), result.encoder.encode(real_texts))
