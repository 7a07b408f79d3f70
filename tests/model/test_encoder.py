"""Hold the encoder to plain transformers and to sentence-transformers."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
import transformers
from tokenizers import normalizers

from mirrorkit.errors import ConfigError
from mirrorkit.formats.pooling import Pooling
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Floats

SHARED_POOLINGS = ["cls", "mean", "max"]  # those that sentence-transformers has as well
LEGACY = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
}


def change_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def sentence_transformer(folder: Path) -> Any:
    module = pytest.importorskip("sentence_transformers")
    return module.SentenceTransformer(str(folder), device="cpu")


def plain_vectors(folder: Path, texts: list[str], pooling: str, max_length: int) -> Floats:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    vectors = []
    for text in texts:
        padding = "max_length" if pooling == "mean-padded" else False
        batch = tokenizer(text, truncation=True, max_length=max_length, padding=padding, return_tensors="pt")
        with torch.no_grad():
            hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[0]
        pooled = {
            "cls": hidden[0],
            "max": hidden.max(dim=0).values,
            "mean": hidden.mean(dim=0),
            "mean-padded": hidden.mean(dim=0),
            "mean_sqrt_len_tokens": hidden.sum(dim=0) / len(hidden) ** 0.5,
            "weightedmean": (hidden * torch.arange(1, len(hidden) + 1)[:, None]).sum(dim=0),
            "lasttoken": hidden[-1],
        }[pooling]
        vectors.append((pooled / pooled.norm()).numpy())
    return np.stack(vectors)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_every_pooling_is_that_of_the_plain_hidden_states(tiny: Path, real_texts: list[str], pooling: Pooling) -> None:
    encoder = SentenceEncoder.load("tiny", pooling=str(pooling), max_length=24)
    expected = plain_vectors(tiny, real_texts, str(pooling), 24)
    np.testing.assert_allclose(encoder.encode(real_texts), expected, atol=1e-5)


def test_the_poolings_differ(real_texts: list[str]) -> None:
    by_direction = [pooling for pooling in Pooling if pooling is not Pooling.MEAN_SQRT_LEN]  # a mean at another length
    vectors = [SentenceEncoder.load("tiny", pooling=p, max_length=24).encode(real_texts[3:6]) for p in by_direction]
    for i, left in enumerate(vectors):
        for right in vectors[:i]:
            assert np.abs(left - right).max() > 0.01


@pytest.mark.parametrize("pooling", SHARED_POOLINGS)
def test_sentence_transformers_gives_the_same_vectors(real_texts: list[str], tmp_path: Path, pooling: str) -> None:
    encoder = SentenceEncoder.load("tiny", pooling=pooling, max_length=40)
    encoder.save(tmp_path)
    other = sentence_transformer(tmp_path)
    assert other.max_seq_length == 40
    np.testing.assert_allclose(other.encode(real_texts), encoder.encode(real_texts), atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", SHARED_POOLINGS)
def test_a_folder_that_sentence_transformers_wrote_is_read_back(
    real_texts: list[str], tmp_path: Path, pooling: str
) -> None:
    encoder = SentenceEncoder.load("tiny", pooling=pooling, max_length=40)
    encoder.save(tmp_path / "ours")
    sentence_transformer(tmp_path / "ours").save(str(tmp_path / "theirs"))
    back = SentenceEncoder.load(tmp_path / "theirs")
    assert (str(back.pooling), back.max_length) == (pooling, 40)
    np.testing.assert_allclose(back.encode(real_texts), encoder.encode(real_texts), atol=1e-6, rtol=0)


def test_padded_mean_is_kept_here_and_refused_elsewhere(tmp_path: Path) -> None:
    SentenceEncoder.load("tiny", pooling="mean-padded", max_length=20).save(tmp_path)
    back = SentenceEncoder.load(tmp_path)
    assert (back.pooling, back.max_length) == (Pooling.MEAN_PADDED, 20)
    with pytest.raises(ValueError, match="mean-padded"):
        sentence_transformer(tmp_path)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_save_and_load_change_nothing(real_texts: list[str], tmp_path: Path, pooling: Pooling) -> None:
    encoder = SentenceEncoder.load("tiny", pooling=pooling, max_length=30)
    encoder.save(tmp_path)
    back = SentenceEncoder.load(tmp_path)
    assert (back.pooling, back.max_length, back.dim) == (pooling, 30, encoder.dim)
    assert all(torch.equal(w, back.state_dict()[name]) for name, w in encoder.state_dict().items())
    np.testing.assert_array_equal(back.encode(real_texts), encoder.encode(real_texts))


def test_only_safetensors_and_the_promised_files_are_written(saved: Path) -> None:
    files = {file.relative_to(saved).as_posix() for file in saved.rglob("*") if file.is_file()}
    promised = {"config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json"}
    promised |= {"config_sentence_transformers.json", "sentence_bert_config.json", "model.safetensors"}
    assert promised | {"1_Pooling/config.json", "2_Normalize/config.json"} <= files
    assert {Path(file).suffix for file in files} <= {".json", ".safetensors", ".txt"}


@pytest.mark.parametrize("pooling", SHARED_POOLINGS)
def test_both_pooling_schemas_are_read(saved: Path, pooling: str) -> None:
    file = saved / "1_Pooling" / "config.json"
    legacy = json.loads(file.read_text(encoding="utf-8"))
    assert legacy["pooling_mode_mean_tokens"] is True  # what is written is the legacy schema
    schemas: list[dict[str, object]] = [
        {"word_embedding_dimension": 256, **{key: name == pooling for name, key in LEGACY.items()}},
        {"embedding_dimension": 256, "pooling_mode": pooling, "include_prompt": True},
        {"embedding_dimension": 256, "pooling_mode": [pooling]},
    ]
    for schema in schemas:
        file.write_text(json.dumps(schema), encoding="utf-8")
        assert str(SentenceEncoder.load(saved).pooling) == pooling


def test_the_maximum_length_is_honoured(saved: Path, real_texts: list[str]) -> None:
    long = real_texts[14]
    change_json(saved / "sentence_bert_config.json", max_seq_length=9)
    encoder = SentenceEncoder.load(saved)
    assert encoder.max_length == 9
    ids = encoder.tokenize([long])[0]
    whole = SentenceEncoder.load("tiny").tokenize([long])[0]
    assert ids.tolist() == [*whole[:8], encoder.tokenizer.sep_token_id]
    assert len(SentenceEncoder.load(saved, max_length=12).tokenize([long])[0]) == 12
    positions = json.loads((saved / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
    assert SentenceEncoder.load(saved, max_length=positions).max_length == positions
    for wrong in (1, positions + 1):
        with pytest.raises(ConfigError, match=f"max_length {wrong}: this model takes 2 to {positions} tokens"):
            SentenceEncoder.load(saved, max_length=wrong)


def test_lower_casing_is_honoured_and_survives_saving(
    architecture: Path, real_texts: list[str], tmp_path: Path
) -> None:
    plain = SentenceEncoder.load(architecture)
    plain.save(tmp_path / "cased")
    change_json(tmp_path / "cased" / "sentence_bert_config.json", do_lower_case=True)
    lowered = SentenceEncoder.load(tmp_path / "cased")
    lowered.save(tmp_path / "lowered")
    expected = plain.encode([text.lower() for text in real_texts])
    again = SentenceEncoder.load(tmp_path / "lowered")
    for vectors in (lowered.encode(real_texts), again.encode(real_texts)):
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    other = sentence_transformer(tmp_path / "lowered")
    np.testing.assert_allclose(other.encode(real_texts), expected, atol=1e-6)
    assert again.tokenizer.special_tokens_map == lowered.tokenizer.special_tokens_map


def test_dropout_for_training_is_not_saved(tiny: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder.load("tiny", dropout=0.3)
    assert encoder.backbone.config.hidden_dropout_prob == 0.3
    encoder.save(tmp_path)
    assert encoder.backbone.config.hidden_dropout_prob == 0.3
    stored, back = (json.loads((f / "config.json").read_text(encoding="utf-8")) for f in (tiny, tmp_path))
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        assert back[name] == stored[name] != 0.3


def test_an_empty_list_and_an_empty_string_are_fine() -> None:
    encoder = SentenceEncoder.load("tiny")
    nothing = encoder.encode([])
    assert nothing.shape == (0, encoder.dim)
    vectors = encoder.encode(["", "text"])
    assert vectors.shape == (2, encoder.dim)
    assert vectors.dtype == nothing.dtype == np.dtype("float32")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_what_is_no_string_is_a_type_error() -> None:
    encoder = SentenceEncoder.load("tiny")
    with pytest.raises(TypeError, match=r"texts\[1\] is NoneType, not str"):
        encoder.encode(["fine", None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="not one string"):
        encoder.encode("one string")


def test_a_text_does_not_depend_on_its_batch_nor_its_place(real_texts: list[str]) -> None:
    encoder, done = SentenceEncoder.load("tiny", max_length=64).train(), list[int]()
    alone = np.concatenate([encoder.encode([text]) for text in real_texts])
    for budget in (1, 100, 100_000):
        done.clear()
        together = encoder.encode(real_texts[::-1], batch_tokens=budget, on_progress=done.append)
        np.testing.assert_allclose(together[::-1], alone, atol=1e-6)
        assert sum(done) == len(real_texts)
    assert encoder.training  # as it was, though encoding itself is without dropout


def test_threads_share_a_tokenizer_and_the_callers_own_is_left_alone() -> None:
    encoder = SentenceEncoder.load("tiny")
    backend = encoder.tokenizer.backend_tokenizer
    backend.enable_truncation(7)
    backend.enable_padding(length=9)
    texts = [f"a sentence of some length, number {n}, with more words than the shortest limit" for n in range(300)]
    lengths = [5, 11, 16, 128] * 4
    alone = {length: encoder.tokenize(texts, length).flat for length in set(lengths)}
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda length: encoder.tokenize(texts, length), lengths))
    for length, ids in zip(lengths, together, strict=True):
        assert ids.lengths.max() <= length
        assert np.array_equal(ids.flat, alone[length])
    assert (backend.truncation["max_length"], backend.padding["length"]) == (7, 9)


def test_a_tokenizer_that_is_replaced_is_used() -> None:
    encoder = SentenceEncoder.load("tiny")
    lower = encoder.tokenize(["the cat"])[0]
    encoder.tokenizer = copy.deepcopy(encoder.tokenizer)
    encoder.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("cat", "dog")
    assert not np.array_equal(encoder.tokenize(["the cat"])[0], lower)
    assert np.array_equal(encoder.tokenize(["the cat"])[0], SentenceEncoder.load("tiny").tokenize(["the dog"])[0])
