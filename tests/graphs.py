"""What the tests of the exported graphs share: feeding one, and holding it to torch at awkward shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Floats, Ints


def ids_of(encoder: SentenceEncoder, lengths: list[int], seed: int = 0) -> tuple[Ints, Ints]:
    """Return right-padded random ids and their mask."""
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.random.default_rng(seed).integers(5, encoder.backbone.config.vocab_size, shape)
    return np.where(mask == 1, ids, encoder.tokenizer.pad_token_id), mask


def run(file: Path, ids: Ints, mask: Ints | None = None) -> list[Floats]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask}
    return [np.asarray(output) for output in session.run(None, feeds)]


def assert_like_torch(file: Path, encoder: SentenceEncoder, tolerance: float) -> None:
    """Compare both outputs at several ragged shapes: one token, the longest, one row, many, padding but for one."""
    longest = encoder.max_length
    shapes = ([1], [2], [longest], [7, 3], [longest, 1, 2, longest // 2], [1, 1], [5] * 30 + [1] * 10, [16, 1])
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for lengths in shapes:
        ids, mask = ids_of(encoder, list(lengths))
        hidden, pooled = (np.asarray(o) for o in session.run(None, {"input_ids": ids, "attention_mask": mask}))
        with torch.inference_mode():
            expected = encoder(torch.from_numpy(ids), torch.from_numpy(mask))
        assert hidden.dtype == pooled.dtype == np.float32
        assert np.isfinite(hidden).all()
        real = mask == 1
        scale = max(1.0, float(np.abs(expected.last_hidden_state.numpy()[real]).max()))
        np.testing.assert_allclose(hidden[real], expected.last_hidden_state.numpy()[real], atol=tolerance * scale)
        np.testing.assert_allclose(pooled, expected.sentence_embedding.numpy(), atol=tolerance)


def attention_of(encoder: SentenceEncoder) -> Any:
    return encoder.backbone.config._attn_implementation
