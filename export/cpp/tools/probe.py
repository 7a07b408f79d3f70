"""Ask the `tokenizers` package what it does to every code point, so that the C++ tokenizer can do the same.

Its Unicode data come from several Rust crates and from Oniguruma, each of another Unicode version: no single published
table agrees with all of them, so each property is read off the component that uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cmp_to_key

from charsmap import charsmap
from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic, so in no table
BATCH = 1 << 15
SEPARATOR = "\n"  # a control character: nothing composes with it or clusters with it

Sets = dict[str, set[int]]


def batches(points: list[int]) -> Iterator[list[int]]:
    """Cut code points into lists that one call handles."""
    for start in range(0, len(points), BATCH):
        yield points[start : start + BATCH]


def outputs(
    normalizer: normalizers.Normalizer, form: Callable[[str], str] = str, separator: str = SEPARATOR
) -> dict[int, str]:
    """Return what the normalizer makes of `form(c)`, for every code point c but the separator."""
    result: dict[int, str] = {}
    for batch in batches([c for c in CODE_POINTS if chr(c) != separator]):
        text = separator.join(form(chr(c)) for c in batch)
        parts = normalizer.normalize_str(text).split(separator)
        if len(parts) != len(batch):
            raise AssertionError(f"{len(parts)} outputs for {len(batch)} inputs of {normalizer}")
        result.update(zip(batch, parts, strict=True))
    return result


def removed(splitter: pre_tokenizers.PreTokenizer, beside: str = "x") -> set[int]:
    """Return the code points that a splitter with behavior "removed" removes from between two of `beside`."""
    found = set()
    for batch in batches(CODE_POINTS):
        covered = bytearray(3 * len(batch))
        for _, (start, end) in splitter.pre_tokenize_str("".join(f"{beside}{chr(c)}{beside}" for c in batch)):
            covered[start:end] = b"\1" * (end - start)
        found |= {c for i, c in enumerate(batch) if not covered[3 * i + 1]}
    return found


def alone(splitter: pre_tokenizers.PreTokenizer) -> set[int]:
    """Return the code points that the splitter makes a piece of its own between two letters."""
    found = set()
    for batch in batches(CODE_POINTS):
        pieces = splitter.pre_tokenize_str("".join(f"x{chr(c)}x" for c in batch))
        found |= {batch[start // 3] for _, (start, end) in pieces if end - start == 1 and start % 3 == 1}
    return found


def properties() -> Sets:
    """Return the code points that have each yes-or-no property."""

    def bert(**options: bool) -> normalizers.BertNormalizer:
        off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
        return normalizers.BertNormalizer(**{**off, **options})

    def matches(pattern: str) -> set[int]:
        return removed(pre_tokenizers.Split(Regex(pattern), behavior="removed"))

    cleaned = outputs(bert(clean_text=True), separator="|")
    chinese = outputs(bert(handle_chinese_chars=True))
    accents = outputs(bert(strip_accents=True))
    whitespace = removed(pre_tokenizers.WhitespaceSplit())
    words = pre_tokenizers.Whitespace()  # the pattern \w+|[^\w\s]+ of the regex crate
    spaced, standing = removed(words), alone(words)
    if spaced != whitespace or matches(r"\s") != whitespace:
        raise AssertionError("two components disagree on what white space is; the C++ side keeps one table")
    removed_by_cleaning = {c for c, out in cleaned.items() if out == ""}
    turned_to_space = {c for c, out in cleaned.items() if out == " "}
    if turned_to_space != whitespace - removed_by_cleaning:
        raise AssertionError("clean_text turns something other than white space into a space")
    return {
        "whitespace": whitespace,
        "unclean": removed_by_cleaning,
        "chinese": {c for c, out in chinese.items() if out == f" {chr(c)} "},
        "nonspacing_mark": {c for c, out in accents.items() if out == ""},
        "mark": {c for c, out in outputs(normalizers.StripAccents()).items() if out == ""},
        "punctuation": removed(pre_tokenizers.Punctuation(behavior="removed")),
        "numeric": alone(pre_tokenizers.Digits(individual_digits=True)),
        "letter": matches(r"\p{L}"),
        "number": matches(r"\p{N}"),
        "word": set(CODE_POINTS) - spaced - standing,
    }


# What is in none of these is unassigned, or half a character.
CATEGORIES = [
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"),
    *("Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co"),
]


def categories() -> tuple[Sets, Sets]:
    """Return the code points of each general category, and of what else a class may name, as Oniguruma has them."""

    def matches(pattern: str) -> set[int]:
        return removed(pre_tokenizers.Split(Regex(pattern), behavior="removed"), beside="-")

    dash = {ord("-")}  # stands between, so it cannot be told from what stands between
    found = {name: matches(rf"\p{{{name}}}") - dash for name in CATEGORIES}
    found["Pd"] |= dash
    if sum(map(len, found.values())) != len(set().union(*found.values())):
        raise AssertionError("a code point is in two general categories")
    if matches(r"\d") != found["Nd"]:
        raise AssertionError("a digit is not a decimal number")
    return found, {"regex_word": matches(r"\w"), "han": matches(r"\p{Han}")}


def mappings() -> dict[str, dict[int, str]]:
    """Return what lower-casing and each decomposition make of the code points that they change."""

    def changed(normalizer: normalizers.Normalizer) -> dict[int, str]:
        return {c: out for c, out in outputs(normalizer).items() if out != chr(c) and c not in HANGUL}

    return {
        "lower": changed(normalizers.Lowercase()),
        "canonical": changed(normalizers.NFD()),
        "compatible": changed(normalizers.NFKD()),
    }


def compositions(canonical: dict[int, str]) -> dict[tuple[int, int], int]:
    """Return the pairs that NFC makes one code point of."""
    nfc = normalizers.NFC()
    pairs = {}
    for c, parts in canonical.items():
        if len(parts) > 1 and nfc.normalize_str(parts) == chr(c):
            first = nfc.normalize_str(parts[:-1])
            if len(first) != 1:
                raise AssertionError(f"U+{c:04X} is not made of a pair")
            pairs[ord(first), ord(parts[-1])] = c
    return pairs


def combining_classes(canonical: dict[int, str]) -> dict[int, int]:
    """Return the rank, from 1, of each code point that NFD reorders: the same order as the combining classes."""
    nfd = normalizers.NFD()
    lowest, highest = "\u0334", "\u0345"
    after = outputs(nfd, lambda c: f"x{c}{lowest}")
    before = outputs(nfd, lambda c: f"x{highest}{c}")
    single = [c for c in after if c not in canonical and c not in HANGUL]
    moving = [c for c in single if after[c] == f"x{lowest}{chr(c)}" != f"x{chr(c)}{lowest}"]
    moving += [c for c in single if before[c] == f"x{chr(c)}{highest}" and c not in set(moving)]

    def order(a: int, b: int) -> int:
        if nfd.normalize_str(f"x{chr(b)}{chr(a)}") == f"x{chr(a)}{chr(b)}" and a != b:
            return -1
        return int(nfd.normalize_str(f"x{chr(a)}{chr(b)}") != f"x{chr(a)}{chr(b)}")

    ranks, rank, previous = {}, 0, None
    for c in sorted(moving, key=cmp_to_key(order)):
        rank += previous is None or order(previous, c) != 0
        ranks[c], previous = rank, c
    return ranks


def clusters() -> Sets:
    """Return the code points of each grapheme-cluster class, as far as the Precompiled normalizer can tell them apart.

    A cluster under six bytes whose beginning is in the map is replaced whole, so deleting one character shows whether
    the next one clung to it. Regional indicators take four bytes each and so never matter.
    """
    acute, grave, zwj, copy = "\u0301\u0300\u200d\u00a9"
    ka, virama, vowel, tail, syllable = "\u0915\u094d\u1161\u11a8\uac00"

    def deleting(*keys: bytes) -> normalizers.Normalizer:
        return normalizers.Precompiled(charsmap(dict.fromkeys(keys, "")))

    def clings(text: str, deleted: str) -> set[int]:
        """Return the c for which `deleted` is not where a cluster begins that a final accent belongs to."""

        def mark(c: str) -> str:
            return grave if c == acute else acute

        result = outputs(deleting(deleted.encode()), lambda c: text.replace("c", c) + mark(c))
        return {c for c, out in result.items() if out.endswith(mark(chr(c)))}

    def first_bytes(*kept: int) -> list[bytes]:
        return [bytes([b]) for b in range(1, 256) if b not in kept and not 0x80 <= b < 0xC0]

    after_letter = {c for c, out in outputs(deleting(b"a"), lambda c: f"a{c}").items() if out == "" and c != ord("a")}
    prepend = {c for c, out in outputs(deleting(*first_bytes(0x61, 0x0A)), lambda c: f"{c}a").items() if out == ""}
    alone_before_mark = {
        c
        for c, out in outputs(deleting(*first_bytes(0xCC, 0x0A)), lambda c: f"{c}{acute}").items()
        if out == acute and len(chr(c).encode()) < 4
    }
    vowel_next, tail_next = clings(f"c{vowel}", vowel) - prepend, clings(f"c{tail}", tail) - prepend
    consonant = clings(f"c{virama}{ka}", ka)
    pictographic = clings(f"c{zwj}{copy}", copy)
    linker = clings(f"{ka}c{ka}", ka) - prepend
    extend = clings(f"{copy}c{zwj}{copy}", copy) - pictographic
    zero_width_joiner = {ord(zwj)}
    return {
        # a charsmap cannot hold a zero byte, and the line feed separates what is probed here
        "control": alone_before_mark - after_letter | {0x00, 0x0A},
        "extend": extend,
        "zwj": zero_width_joiner,
        "spacing_mark": after_letter - extend - zero_width_joiner,
        "prepend": prepend,
        "hangul_l": vowel_next & clings(f"c{syllable}", syllable),
        "hangul_v": (vowel_next & tail_next) - set(HANGUL),
        "hangul_t": tail_next - vowel_next - set(HANGUL),
        "hangul_lv": vowel_next & tail_next & set(HANGUL),
        "hangul_lvt": (tail_next - vowel_next) & set(HANGUL),
        "pictographic": pictographic,
        "consonant": consonant,
        "linker": linker,
        "incb_extend": clings(f"{ka}c{virama}{ka}", ka) - consonant - linker - prepend,
    }
