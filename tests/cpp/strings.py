"""Strings that tokenizers get wrong: awkward ones by hand, and random ones of every plane."""

from __future__ import annotations

import random
from collections.abc import Iterator

AWKWARD = [
    "",
    " ",
    "\t\n\r\x0b\x0c\x85\u2028",
    "\x00",
    "a\x00b",
    "\ufffd\ufeff\u200b\u200d\u00ad",
    "it's I'LL we'Ve they'RE 'ſ 'S '' ``quoted''",
    "e\u0301 \u0301 e\u0301\u0323 \u1e69 s\u0323\u0307 s\u0307\u0323",
    "İstanbul I\u0307 ΣΑΣ ß ẞ ŉ ǆ ﬁ ﬆ ㎏ ™\u0301 ²³ ½",
    "가각 \u1100\u1161\u11a8 \u1100\u0301 가\u0301 \ua960\ud7b0\ud7cb",
    "क्षत्रिय \u0915\u094d\u0915\u0301 \u0915\u094d\u200d\u0937",
    "👩‍👩‍👧‍👦 🇫🇷🇩🇪🇨 👍🏽 ©️ ©\u200d©\u0301 ❤️‍🔥",
    "\u0600a \u06dd1 \u110bd\u0301 \U000110bda",
    "中文字符 日本語 \u3000全角　空白 \U00020000\U0002f800 ｱｲｳ",
    "[MASK] <mask>  <mask> x[MASK]y [CLS][SEP] [mask] </s><s> <unk> [UNK]",
    "mirrorkit mirrorkits Mirrorkit _mirrorkit éMirrorkit straße STRASSE Straße",
    "  <ent>  <ent> x <ent>",
    "|||EMAIL_ADDRESS||| <|padding|> <|end|>",
    "a" * 100 + " " + "b" * 101 + " " + "é" * 100 + " " + "é" * 101,
    "   leading and trailing   ",
    "tabs\t\tand\n\nlines\r\n\r\nmixed \n \t x",
    "1234567 12 3.14 ١٢٣ Ⅷ ⅷ ④ 𝟘",
    "https://example.org/a?b=c&d=%20e#f user@example.org",
    "\u0378\u0380\U000e0001\U000e0041\U0010ffff\ue000\ufdd0",
    "▁ ▁▁a a▁b _ __ \u2581",
    "abcabc ththe eeth zebraz 12e34",
]
SNIPPETS = [
    "'s", "'LL", "'re", " ", "  ", "\n", "\r\n", "\t", "[MASK]", "<mask>", "<ent>", "</s>", "mirrorkit",
    "Straße", "the ", "ing", " and", "1", "23", "…", "``", "''", "▁", "th", "abc", "|||EMAIL_ADDRESS|||",
    "中", "文", "é",
]  # fmt: skip
# begin and end of ranges where characters act on their neighbours
RANGES = [
    (0x00, 0x7F), (0x80, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0x109F),
    (0x1100, 0x11FF), (0x1AB0, 0x1AFF), (0x1DC0, 0x1EFF), (0x1F00, 0x206F), (0x20D0, 0x2BFF), (0x3000, 0x33FF),
    (0x4E00, 0x4FFF), (0xA8E0, 0xA97F), (0xAC00, 0xAD00), (0xD7B0, 0xD7FF), (0xF900, 0xFAFF), (0xFE00, 0xFFFF),
    (0x10000, 0x11FFF), (0x1D100, 0x1D7FF), (0x1E000, 0x1FAFF), (0x20000, 0x20100), (0x2F800, 0x2FA1F),
    (0xE0000, 0xE01EF), (0x10FF00, 0x10FFFF),
]  # fmt: skip
ACTIVE = "\u0300\u0301\u0323\u0345\u064b\u093c\u094d\u0915\u0937\u200d\u200c\ufe0f\u20e3\u1100\u1161\u11a8\uac00\uac01"
ACTIVE += "\u0600\u06dd\u00a9\u2122\u212b\u017f\u0130\u1e9e\u3099\u304b\U0001f1e6\U0001f469\U0001f3fd\U000110bd"
ACTIVE += "\u0e33\u0903"


def fuzz(count: int, seed: int) -> Iterator[str]:
    """Yield `count` random strings, the same ones for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(_part(rng) for _ in range(rng.randint(1, 12)))


def _part(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.25:
        return rng.choice(SNIPPETS)
    if kind < 0.45:
        return rng.choice(ACTIVE)
    if kind < 0.55:
        return "".join(rng.choice("etaoinshrdlu ETAOIN") for _ in range(rng.randint(1, 8)))
    if kind < 0.60:
        return _valid(rng.randrange(0x110000))  # any plane, assigned or not
    first, last = rng.choice(RANGES)
    return _valid(rng.randint(first, last)) * rng.choice((1, 1, 1, 2))


def _valid(point: int) -> str:
    return chr(point) if not 0xD800 <= point < 0xE000 else "\ufffd"
