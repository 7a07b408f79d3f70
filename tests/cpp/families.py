"""Tokenizers of every family that the C++ library reads, trained here with the pipelines that the models ship."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).parents[2]
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LLAMA_TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
OTHER_SCRIPTS = [
    "自然言語処理は面白い。", "Привет, как дела?", "مرحبا بالعالم", "हिन्दी भाषा", "naïve café 3,50 €", "👍🏽 ok",
    "한국어 문장",
]  # fmt: skip


def nfkc_charsmap() -> bytes:
    """Return a charsmap as SentencePiece would make one: NFKC of single characters and of letters with one mark."""
    sys.path.insert(0, str(ROOT / "export" / "cpp" / "tools"))
    try:
        from charsmap import charsmap  # type: ignore[import-not-found,unused-ignore]
    finally:
        sys.path.pop(0)
    rules = {}
    for c in (chr(point) for point in range(0x80, 0x20000) if not 0xD800 <= point < 0xE000):
        folded = unicodedata.normalize("NFKC", c)
        if folded != c:
            rules[c.encode()] = folded
        pair = unicodedata.normalize("NFD", c)
        if len(pair) == 2 and pair != c:
            rules[pair.encode()] = unicodedata.normalize("NFC", pair)
    rules |= dict.fromkeys((b"\t", b"\n", b"\r", "\u3000".encode(), "\u00a0".encode()), " ")
    rules |= dict.fromkeys((b"\x01", b"\x02", b"\x7f"), "")
    result = charsmap(rules)
    assert isinstance(result, bytes)
    return result


def texts() -> list[str]:
    """Return what the tokenizers are trained on: the shipped sentences, and some other scripts."""
    rows = (ROOT / "mirrorkit" / "assets" / "graded.tsv").read_text(encoding="utf-8").splitlines()
    return [*(part for row in rows for part in row.split("\t")[1:3]), *OTHER_SCRIPTS * 3]


def bert(lowercase: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _train(tokenizer, trainers.WordPieceTrainer(vocab_size=900, special_tokens=BERT_TOKENS, show_progress=False))
    _surround(tokenizer, "[CLS]", "[SEP]")
    words = [AddedToken("mirrorkit", single_word=True), AddedToken("Straße", normalized=True)]
    tokenizer.add_tokens([*words, AddedToken("<ent>", lstrip=True, rstrip=True, normalized=False)])
    return tokenizer


def roberta(prefix: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    _train(tokenizer, _bpe_trainer(ROBERTA_TOKENS[:-1]))
    last, first = (_with_id(tokenizer, token) for token in ("</s>", "<s>"))
    tokenizer.post_processor = processors.RobertaProcessing(last, first, add_prefix_space=prefix)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    return tokenizer


def xlm_roberta() -> Tokenizer:
    return _unigram(ROBERTA_TOKENS, normalizers.Precompiled(nfkc_charsmap()), lstrip=True)


def albert() -> Tokenizer:
    parts = [
        normalizers.Replace("``", '"'),
        normalizers.Replace("''", '"'),
        normalizers.NFKD(),
        normalizers.StripAccents(),
        normalizers.Lowercase(),
        normalizers.Precompiled(nfkc_charsmap()),
        normalizers.Replace(Regex(" {2,}"), " "),
    ]
    return _unigram(BERT_TOKENS, normalizers.Sequence(parts), lstrip=True)


def deberta() -> Tokenizer:
    spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    tokenizer = _unigram(
        BERT_TOKENS, normalizers.Sequence([spaces, normalizers.NFC(), normalizers.Strip(left=False, right=True)])
    )
    parts = [pre_tokenizers.Punctuation(behavior="isolated"), pre_tokenizers.Metaspace(prepend_scheme="first")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    return tokenizer


def modernbert() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    _train(tokenizer, _bpe_trainer(BERT_TOKENS))
    _surround(tokenizer, "[CLS]", "[SEP]")
    tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in range(24, 1, -1)])
    tokenizer.add_tokens([AddedToken("|||EMAIL_ADDRESS|||"), AddedToken("<|padding|>", normalized=False)])
    return tokenizer


def llama() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=LLAMA_TOKENS, limit_alphabet=60, show_progress=False)
    _train(tokenizer, trainer)
    return tokenizer


def gpt4() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(GPT4), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    _train(tokenizer, _bpe_trainer(["<|end|>"]))
    return tokenizer


def byte_unigram() -> Tokenizer:
    """Return a Unigram that falls back to bytes, behind the normalizers and splitters that no family above has."""
    pieces = [("<unk>", 0.0), *((f"<0x{byte:02X}>", -9.0) for byte in range(256))]
    pieces += [("▁", -2.0), ("e", -2.5), ("th", -3.0), ("er", -3.1), ("1", -4.0), ("ab", -5.0), ("abc", -40.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.NFD(), normalizers.Strip(), normalizers.Lowercase()]
    )
    parts = [
        pre_tokenizers.Whitespace(),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Punctuation(behavior="merged_with_previous"),
        pre_tokenizers.Split("th", behavior="merged_with_next"),
        pre_tokenizers.Split("e", behavior="contiguous", invert=True),
        pre_tokenizers.CharDelimiterSplit("z"),
        pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    return tokenizer


FAMILIES: dict[str, Callable[[], Tokenizer]] = {
    "bert": bert,
    "bert-cased": lambda: bert(lowercase=False),
    "roberta": roberta,
    "roberta-prefix": lambda: roberta(prefix=True),
    "xlm-roberta": xlm_roberta,
    "albert": albert,
    "deberta-v2": deberta,
    "modernbert": modernbert,
    "llama": llama,
    "gpt4": gpt4,
    "byte-unigram": byte_unigram,
}


def _unigram(tokens: list[str], normalizer: Any, lstrip: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    unknown = next(token for token in tokens if "unk" in token.lower())
    _train(
        tokenizer,
        trainers.UnigramTrainer(vocab_size=700, special_tokens=tokens, unk_token=unknown, show_progress=False),
    )
    _surround(tokenizer, *(("<s>", "</s>") if "<s>" in tokens else ("[CLS]", "[SEP]")))
    tokenizer.add_special_tokens([AddedToken(tokens[-1], lstrip=lstrip, normalized=False)])
    return tokenizer


def _bpe_trainer(tokens: list[str]) -> trainers.BpeTrainer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trainers.BpeTrainer(vocab_size=900, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False)


def _train(tokenizer: Tokenizer, trainer: Any) -> None:
    tokenizer.train_from_iterator(texts(), trainer)


def _with_id(tokenizer: Tokenizer, token: str) -> tuple[str, int]:
    number = tokenizer.token_to_id(token)
    assert number is not None
    return token, number


def _surround(tokenizer: Tokenizer, first: str, last: str) -> None:
    ids = [_with_id(tokenizer, token) for token in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ids)
