"""Tokenizers as XLM-R, RoBERTa, ModernBERT, Qwen and mDeBERTa have them, trained here, and models to go with them.

No multilingual model lies on the machines that run the tests. What they have is MiniLM, whose body is that of XLM-R and
RoBERTa: with a vector for each new piece, the mean of those of the pieces that it had for that text, it still ranks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from mirrorkit.model.backbone import QuietTransformers
from tests.conftest import DEBERTA_SPECIAL, ROBERTA_SPECIAL
from tests.cpp.families import GPT4, nfkc_charsmap

ROBERTA_ORDER = ["<s>", "<pad>", "</s>", "<unk>"]
POOLING = {"word_embedding_dimension": 0, "pooling_mode_mean_tokens": True}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def unigram(texts: Iterable[str], size: int) -> Tokenizer:
    """Return a tokenizer of XLM-R's pipeline: NFKC by a charsmap, words begun by ▁, <mask> behind the pieces."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Precompiled(nfkc_charsmap())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=ROBERTA_ORDER, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    return surrounded(tokenizer, "<s>", "</s>")


def byte_bpe(texts: Iterable[str], size: int) -> Tokenizer:
    """Return a tokenizer of RoBERTa's pipeline."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=ROBERTA_ORDER, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    last, first = ((token, ROBERTA_ORDER.index(token)) for token in ("</s>", "<s>"))
    tokenizer.post_processor = processors.RobertaProcessing(last, first, add_prefix_space=False)
    return tokenizer


def like_deberta(tokenizer: Tokenizer) -> Tokenizer:
    """Return a Unigram tokenizer in mDeBERTa's pipeline, with its special tokens and [MASK] behind the pieces."""
    pieces = [tuple(entry) for entry in json.loads(tokenizer.to_str())["model"]["vocab"]][len(ROBERTA_ORDER) :]
    first = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)]
    made = Tokenizer(models.Unigram([*first, *pieces], unk_id=3))
    spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    made.normalizer = normalizers.Sequence([spaces, normalizers.NFC(), normalizers.Strip(left=False, right=True)])
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always")])
    made.add_special_tokens([*(token for token, _ in first), "[MASK]"])
    return surrounded(made, "[CLS]", "[SEP]")


def like_modernbert(tokenizer: Tokenizer) -> Tokenizer:
    """Return a byte-level tokenizer in ModernBERT's pipeline: NFC, runs of blanks and special tokens at the end."""
    made = _same_merges(tokenizer)
    made.normalizer, made.pre_tokenizer = normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_tokens([AddedToken(" " * count, normalized=True) for count in range(24, 1, -1)])
    made.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", AddedToken("[MASK]", lstrip=True)])
    return surrounded(made, "[CLS]", "[SEP]")


def like_qwen(tokenizer: Tokenizer) -> Tokenizer:
    """Return a byte-level tokenizer in Qwen's pipeline: words by its pattern, no unknown token, all ends one token."""
    made = _same_merges(tokenizer)
    made.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(GPT4.replace("{1,3}", "")), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    end = ("<|endoftext|>", made.token_to_id("<|endoftext|>"))
    made.post_processor = processors.TemplateProcessing(single=f"$A {end[0]}", special_tokens=[end])
    return made


def surrounded(tokenizer: Tokenizer, first: str, last: str) -> Tokenizer:
    """Put the two tokens around every text."""
    ends = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ends)
    return tokenizer


def _same_merges(tokenizer: Tokenizer) -> Tokenizer:
    model = json.loads(tokenizer.to_str())["model"]
    pieces = [piece for piece in model["vocab"] if piece not in ROBERTA_ORDER]
    return Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [tuple(two) for two in model["merges"]]))


SPECIAL = {
    "xlm-roberta": ("XLMRobertaTokenizer", ROBERTA_SPECIAL),
    "roberta": ("RobertaTokenizer", ROBERTA_SPECIAL),
    "deberta-v2": ("DebertaV2Tokenizer", DEBERTA_SPECIAL),
    "modernbert": ("PreTrainedTokenizerFast", DEBERTA_SPECIAL),
    "qwen3": ("Qwen2Tokenizer", {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}),
}


def write(folder: Path, kind: str, tokenizer: Tokenizer, model: Any, length: int) -> Path:
    """Write a sentence-transformers folder with mean pooling."""
    named, special = SPECIAL[kind]
    (folder / "1_Pooling").mkdir(parents=True)
    with QuietTransformers():
        model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    inputs = ["input_ids", "attention_mask"]
    about = {"tokenizer_class": named, "model_max_length": length, "model_input_names": inputs, **special}
    pooling = {**POOLING, "word_embedding_dimension": model.config.hidden_size}
    files = {"tokenizer_config": about, "special_tokens_map": special, "modules": MODULES, "1_Pooling/config": pooling}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def of_random_weights(folder: Path, kind: str, tokenizer: Tokenizer, spare: int = 0, **sizes: Any) -> Path:
    """Write a model of this kind for the tokenizer, with `spare` rows that no token has."""
    import transformers

    ids = {f"{name}_id": tokenizer.token_to_id(token) for name, token in SPECIAL[kind][1].items()}
    wanted = ("bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id")
    own = {"bos_token_id": 0, **{name: ids[name] for name in wanted if ids.get(name) is not None}}
    with torch.random.fork_rng(), QuietTransformers():
        torch.manual_seed(1)
        config = transformers.AutoConfig.for_model(kind, vocab_size=tokenizer.get_vocab_size() + spare, **own, **sizes)
        return write(folder, kind, tokenizer, transformers.AutoModel.from_config(config), 128)


def of_minilm(folder: Path, kind: str, tokenizer: Tokenizer, minilm: Path) -> Path:
    """Write MiniLM as XLM-R or RoBERTa with another tokenizer; see the head of this file."""
    import transformers

    with QuietTransformers():
        old: Any = transformers.BertModel.from_pretrained(minilm, add_pooling_layer=False)
    rows = tokenizer.get_vocab_size()
    sizes = {name: getattr(old.config, name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    sizes |= {name: getattr(old.config, name) for name in ("intermediate_size", "layer_norm_eps")}
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=rows, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, **sizes
    )
    with QuietTransformers():
        new: Any = transformers.AutoModel.from_config(config, add_pooling_layer=False)
    theirs, ours = old.embeddings, new.embeddings
    with torch.no_grad():
        new.encoder.load_state_dict(old.encoder.state_dict())
        ours.LayerNorm.load_state_dict(theirs.LayerNorm.state_dict())
        ours.token_type_embeddings.weight.copy_(theirs.token_type_embeddings.weight[:1])
        ours.position_embeddings.weight[2:514] = theirs.position_embeddings.weight
        ours.word_embeddings.weight.copy_(
            _means(tokenizer, Tokenizer.from_file(str(minilm / "tokenizer.json")), theirs)
        )
    return write(folder, kind, tokenizer, new, 128)


def _means(tokenizer: Tokenizer, words: Tokenizer, embeddings: Any) -> torch.Tensor:
    """Return a row for each piece: of the old piece that it is, else the mean of those that spell it."""
    words.no_padding()
    words.no_truncation()
    table, known = embeddings.word_embeddings.weight, words.get_vocab()
    roles = {"<s>": "[CLS]", "<pad>": "[PAD]", "</s>": "[SEP]", "<unk>": "[UNK]", "<mask>": "[MASK]"}
    rows = torch.zeros(tokenizer.get_vocab_size(), table.shape[1])
    for piece, i in tokenizer.get_vocab().items():
        text = piece.replace("▁", " ").replace("Ġ", " ")
        begins, bare = text.startswith(" "), text.strip().lower()
        whole = known.get(roles.get(piece, bare if begins else f"##{bare}"))
        ids = [whole] if whole is not None else words.encode(bare, add_special_tokens=False).ids
        if ids:
            rows[i] = table[ids].mean(0)
    return rows
