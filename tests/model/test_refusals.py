"""Folders that hold no encoder, or one that cannot be trusted, are refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import safetensors.torch
import torch
import transformers

from mirrorkit.errors import ModelError
from mirrorkit.model.encoder import SentenceEncoder

BAD_POOLINGS: dict[str, dict[str, object]] = {
    "pooling_mode 'median' is not supported, only cls, ": {"pooling_mode": "median"},
    r"pooling_mode \['mean', 'median'\] is not supported": {"pooling_mode": ["mean", "median"]},
    r"pooling_mode \['mean', 'mean-padded'\] is not supported": {"pooling_mode": ["mean", "mean-padded"]},
    r"pooling_mode \[\] is not supported": {"pooling_mode": []},
    "pooling_mode_median_tokens True is not known": {"pooling_mode_median_tokens": True},
    "include_prompt 'no' must be true or false": {"pooling_mode": "mean", "include_prompt": "no"},
}


@pytest.mark.parametrize("named", BAD_POOLINGS)
def test_a_pooling_that_is_not_ours_is_refused(saved: Path, named: str) -> None:
    (saved / "1_Pooling" / "config.json").write_text(json.dumps(BAD_POOLINGS[named]), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"1_Pooling/config\.json: {named}"):
        SentenceEncoder.load(saved)


NO_ENCODERS: dict[str, tuple[Any, str]] = {
    "gpt2": (transformers.GPT2Config(n_layer=1), "gpt2 is a causal language model; mirrorkit needs an encoder"),
    "llama": (transformers.LlamaConfig(), "llama is a causal language model; mirrorkit needs an encoder"),
    "decoder": (transformers.BertConfig(is_decoder=True), "bert is a causal language model"),
    "t5": (transformers.T5Config(), "t5 is an encoder-decoder; mirrorkit needs an encoder"),
    "bart": (transformers.BartConfig(), "bart is an encoder-decoder"),
}


@pytest.mark.parametrize("name", NO_ENCODERS)
def test_what_is_no_encoder_is_refused(tmp_path: Path, tiny: Path, name: str) -> None:
    config, complaint = NO_ENCODERS[name]
    shutil.copytree(tiny, tmp_path / name)
    config.save_pretrained(tmp_path / name)
    with pytest.raises(ModelError, match=complaint) as caught:
        SentenceEncoder.load(tmp_path / name)
    assert "\n" not in str(caught.value)


class Bomb:
    """Write a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.file,)


def test_pickled_weights_are_never_read(saved: Path, tmp_path: Path) -> None:
    (saved / "model.safetensors").unlink()
    torch.save({"embeddings.weight": Bomb(tmp_path / "went-off")}, saved / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only pytorch_model\.bin, which is pickled and never loaded"):
        SentenceEncoder.load(saved)
    assert not (tmp_path / "went-off").exists()


@pytest.mark.parametrize("path", ["../elsewhere", "1_Pooling/../../elsewhere", "ABSOLUTE", "link"])
def test_a_path_out_of_the_folder_is_refused(saved: Path, tmp_path: Path, path: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(saved, elsewhere)
    if path == "link":
        (saved / "link").symlink_to(elsewhere)
    modules = json.loads((saved / "modules.json").read_text(encoding="utf-8"))
    modules[0]["path"] = str(elsewhere) if path == "ABSOLUTE" else path
    (saved / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    words = "link: is a link that leads out of" if path == "link" else r"modules\.json: the path .* leads out of"
    with pytest.raises(ModelError, match=rf"{words} the (model's )?folder"):
        SentenceEncoder.load(saved)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    change(weights)
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_broken_weights_are_refused(saved: Path) -> None:
    change_weights(saved, lambda w: w["embeddings.LayerNorm.weight"].fill_(float("nan")))
    with pytest.raises(ModelError, match="NaN or infinity"):
        SentenceEncoder.load(saved)
    change_weights(saved, lambda w: w.pop("embeddings.LayerNorm.weight"))
    with pytest.raises(ModelError, match=r"1 weights are missing from the file.*embeddings\.LayerNorm\.weight"):
        SentenceEncoder.load(saved)
    (saved / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not safetensors")
    with pytest.raises(ModelError, match="the weights cannot be loaded"):
        SentenceEncoder.load(saved)
