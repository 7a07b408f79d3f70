"""The texts to verify on: strings that break encoders, and an even sample of real ones."""

from __future__ import annotations

from collections.abc import Sequence

MIN_TEXTS = 256
LONGEST = 2048  # tokens; attention takes memory with the square of the length, so longer is not run while verifying

AWKWARD = (
    "",
    " ",
    "a",
    "?",
    "7",
    "\u00e9",
    "e\u0301 and \u00e9, n\u0303 and \u00f1",  # combining marks, decomposed and composed
    "Z\u0351\u036b\u0343a\u0328\u0321l\u0321g\u0322o\u031b",  # many marks on one letter
    "ÇA COÛTE 3,50 €, n'est-ce pas ?",
    "straße STRASSE İstanbul ıstanbul",  # letters whose case changes their length
    "\ufb01ne \uff21\uff22\uff23 \u2460 x\u00b2",  # ligature, full width, circled, superscript
    "自然言語処理は面白い。",
    "深度学习模型可以把句子变成向量",
    "한국어 문장도 있습니다",
    "สวัสดีครับ ยินดีต้อนรับ",  # no spaces between words
    "हिन्दी में एक वाक्य",
    "Привет, как дела?",
    "مرحبا بالعالم",
    "שלום עולם, מה שלומך?",
    "\u202eright to left override\u202c and back",
    "👍",
    "👩\u200d👩\u200d👧 family, 🇫🇷 flag, ok 👍🏽",
    "tabs\tand  double  spaces and\u00a0no-break ones",
    "two\nlines\r\nand a third",
    "zero\u200bwidth\ufeff and soft\u00adhyphen",
    "control \x01\x07\x1b characters \x7f",
    "null\x00inside",
    "\ufffd\ufffd",
    "[SEP] </s>",
    "[CLS] [MASK] [PAD] [UNK] <s> <pad> <mask> <unk>",
    "https://example.org/a?b=c&d=%20e#f",
    "SELECT * FROM t WHERE a='b'; -- {\"k\": [1, 2.5e-3]}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "- " * 60,
    "。" * 40,
    "😀" * 30,
)


AWKWARD_TEXTS = len(AWKWARD) + 1  # how many `awkward_texts` returns


def awkward_texts(max_length: int) -> list[str]:
    """Return the awkward strings, among them one that is longer than `max_length` tokens."""
    sentence = "A sentence that goes on and on and does not come to an end, "
    return [*AWKWARD, sentence * (min(max_length, LONGEST) // 14 + 1)]


def even_sample(texts: Sequence[str], count: int) -> list[str]:
    """Return up to `count` distinct texts, drawn at equal distances."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) <= count:
        return distinct
    return [distinct[i * len(distinct) // count] for i in range(count)]


def verification_texts(real: Sequence[str], max_length: int, count: int = MIN_TEXTS) -> list[str]:
    """Return the awkward strings and up to `count` real ones, no string twice."""
    awkward = awkward_texts(max_length)
    known = set(awkward)
    return [*awkward, *even_sample([text for text in real if text not in known], count)]
