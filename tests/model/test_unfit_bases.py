"""What an architecture or its tokenizer cannot do is one line that says what to do about it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit.errors import ModelError
from mirrorkit.model import backbone
from mirrorkit.model.encoder import SentenceEncoder
from tests.formats.making import change


@pytest.fixture
def folder(tiny_random: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_random("bert"), tmp_path / "model"))


def test_tokens_that_were_added_without_rows(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    size = 1 + max(tokenizer["model"]["vocab"].values())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    tokenizer["added_tokens"].append({"id": size, "content": "<mine>", **flags})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"the token '<mine>' has the id {size}, and the weights have {size} rows"):
        SentenceEncoder.load(folder)


def test_a_tokenizer_that_sentencepiece_has_to_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "spm.model").write_bytes(b"pieces")
    monkeypatch.setattr(backbone, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"its only tokenizer is spm\.model, .* pip install sentencepiece"):
        SentenceEncoder.load(folder)


def test_an_xmod_without_a_language(tmp_path: Path) -> None:
    import torch
    import transformers

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.XmodConfig(vocab_size=50, languages=["en_XX", "de_DE"], **sizes)
    with torch.random.fork_rng():
        transformers.XmodModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"config\.json: default_language is not set, .* one of en_XX, de_DE"):
        SentenceEncoder.load(tmp_path)
    change(tmp_path / "config.json", default_language="en_XX")
    with pytest.raises(ModelError, match="no tokenizer in it"):  # as far as this folder goes
        SentenceEncoder.load(tmp_path)


def test_a_switch_is_no_dropout() -> None:
    class Config:
        model_type = "esm"
        hidden_dropout_prob = 0.1
        token_dropout = True

        def to_dict(self) -> dict[str, Any]:
            return {"hidden_dropout_prob": self.hidden_dropout_prob, "token_dropout": self.token_dropout}

    config = Config()
    assert backbone._replace_dropout(config, 0.3) == {"hidden_dropout_prob": 0.1}
    assert (config.hidden_dropout_prob, config.token_dropout) == (0.3, True)
