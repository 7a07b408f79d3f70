"""What the tests share: real strings, a slice of the shipped model in its place, a tiny random model of every kind."""

from __future__ import annotations

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is first imported; no test may reach a network

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mirrorkit
from mirrorkit.assets.paths import TINY
from mirrorkit.model import hub
from tests.standin import slice_of

ROOT = Path(mirrorkit.__file__).parents[1]
POSITIONS = 64  # tokens that every tiny random model takes

BERT_SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ROBERTA_SPECIAL = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
ALBERT_SPECIAL = {**BERT_SPECIAL, "pad_token": "<pad>", "unk_token": "<unk>"}
DEBERTA_SPECIAL = {
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.2,  # ten times the usual, so that attention matters and a leak from padding shows
}
PAST_PADDING = {"max_position_embeddings": POSITIONS + 2}  # these count positions from the padding id on
DISTIL_SIZES = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
DEBERTA_V3 = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 16,
    "position_biased_input": False,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "type_vocab_size": 0,
}
MODERN = {"local_attention": 16, "global_attn_every_n_layers": 2}  # so that one of the two layers looks nearby only

# model type -> tokenizer class as hub folders name it, its kind, special tokens in the order of their ids, config
FAMILIES: dict[str, tuple[str, str, dict[str, str], dict[str, Any]]] = {
    "bert": ("BertTokenizer", "wordpiece", BERT_SPECIAL, {}),
    "roberta": ("RobertaTokenizer", "bpe", ROBERTA_SPECIAL, PAST_PADDING),
    "xlm-roberta": ("XLMRobertaTokenizer", "unigram", ROBERTA_SPECIAL, PAST_PADDING),
    "distilbert": ("DistilBertTokenizer", "wordpiece", BERT_SPECIAL, DISTIL_SIZES),
    "mpnet": ("MPNetTokenizer", "wordpiece", {**ROBERTA_SPECIAL, "unk_token": "[UNK]"}, PAST_PADDING),
    "electra": ("ElectraTokenizer", "wordpiece", BERT_SPECIAL, {"embedding_size": 16}),
    "albert": ("AlbertTokenizer", "unigram", ALBERT_SPECIAL, {"embedding_size": 16}),
    "deberta-v2": ("DebertaV2Tokenizer", "unigram", DEBERTA_SPECIAL, DEBERTA_V3),
    "modernbert": ("PreTrainedTokenizerFast", "bpe", BERT_SPECIAL, MODERN),
}

REAL_TEXTS = [
    "",
    "a",
    "May",
    "The museum opens at nine on weekdays.",
    "ÇA COÛTE 3,50 €, n'est-ce pas ?",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "自然言語処理は面白い。",
    "Привет, как дела?",
    "مرحبا بالعالم",
    "tabs\tand  double  spaces and\u00a0no-break ones",
    "e\u0301 (decomposed) and é (composed)",
    "👩‍👩‍👧 family, 🇫🇷 flag, ok 👍🏽",
    "https://example.org/a?b=c&d=%20e",
    "- " * 40,
    "A sentence that is far too long for a small model has to be cut, and what is cut is the end of it, " * 4,
]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Undo what a command sets up of logging: its handler would outlive the captured stderr."""
    logger = logging.getLogger("mirrorkit")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture(scope="session")
def real_texts() -> list[str]:
    """Return strings as people write them, of very different lengths: empty, foreign, odd, too long, plain."""
    rows = (ROOT / "mirrorkit" / "assets" / "graded.tsv").read_text(encoding="utf-8").splitlines()
    return [*REAL_TEXTS, *(row.split("\t")[1] for row in rows[:17])]


@pytest.fixture(scope="session", autouse=True)
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what is called `tiny` in this process: a slice of the shipped model, much faster.

    Tests of the shipped model itself ask for `shipped`. Where there is no torch, nothing runs a model: it is that one.
    """
    try:
        import safetensors.torch  # noqa: F401
    except ImportError:
        return TINY
    hub.SHIPPED["tiny"] = slice_of(TINY, tmp_path_factory.mktemp("standin") / TINY.name)
    return hub.SHIPPED["tiny"]


@pytest.fixture(scope="session")
def shipped() -> Path:
    """Return the folder of the shipped model."""
    return TINY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of data beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session")
def tiny_random(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a model type to the folder of a tiny random masked LM; do not write into it."""
    pytest.importorskip("torch", reason="needs the train extra")
    home = tmp_path_factory.mktemp("random")

    def folder_of(kind: str) -> Path:
        if not (home / kind).is_dir():
            _build(home / kind)
        return home / kind

    return folder_of


@pytest.fixture(params=FAMILIES)
def architecture(request: pytest.FixtureRequest, tiny_random: Callable[[str], Path]) -> Path:
    """Return, for one architecture after another, the folder of a tiny random masked LM named after it."""
    return tiny_random(request.param)


def _build(folder: Path) -> None:
    import torch
    import transformers

    from mirrorkit.model.backbone import QuietTransformers

    tokenizer_class, kind, special, extra = FAMILIES[folder.name]
    tokenizer = _train_tokenizer(kind, special)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    inputs = ["input_ids", "attention_mask"]
    about = {"tokenizer_class": tokenizer_class, "model_max_length": POSITIONS, "model_input_names": inputs, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    named = {"bos_token": special["cls_token"], "eos_token": special["sep_token"], **special}
    ids = {f"{name}_id": tokenizer.token_to_id(token) for name, token in named.items() if name != "mask_token"}
    with torch.random.fork_rng(), QuietTransformers():
        torch.manual_seed(1)
        config = transformers.AutoConfig.for_model(
            folder.name, vocab_size=tokenizer.get_vocab_size(), **{**SIZES, **ids, **extra}
        )
        transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)


def _train_tokenizer(kind: str, special: dict[str, str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokens = list(dict.fromkeys(special.values()))
    unknown = special["unk_token"]
    trainer: Any
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=tokens, show_progress=False)
    elif kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=600, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=tokens, unk_token=unknown, show_progress=False)
    graded = (ROOT / "mirrorkit" / "assets" / "graded.tsv").read_text(encoding="utf-8")
    tokenizer.train_from_iterator([*graded.splitlines(), *REAL_TEXTS], trainer)
    first, last = special["cls_token"], special["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return tokenizer
