"""Regular expressions of published tokenizers, and others that use the same syntax; and what no expression may do."""

from __future__ import annotations

_O200K_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

PUBLISHED = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt2 grouped": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
    "cl100k possessive": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|"
    r"\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    + _O200K_CONTRACTION
    + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    + _O200K_CONTRACTION
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+",
    "qwen3.5": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
    "deepseek digits": r"\p{N}{1,3}",
    "deepseek cjk": r"[一-龥぀-ゟ゠-ヿ]+",
    "deepseek words": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "kimi": r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" + _O200K_CONTRACTION + r"|[^\r\n\p{L}\p{N}]?"
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
    + _O200K_CONTRACTION
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "starcoder digits": r"\d",
    "falcon digits": r"[0-9][0-9][0-9]",
    "falcon 3 digits": r"[0-9]{3}",
    "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+",
    "line ends": r"[\r\n]",
    "letters": r"\s?\p{L}+",
    "letters with a blank": r"[A-Za-z]+|\s[A-Za-z]+",
    "punctuation": r"\s?\p{P}+",
    "numbers": r"\p{N}+",
    "cjk runs": r"[一-龥ࠀ-一가-퟿]+",
    "white space": r"\s+",
    "blanks": r" {2,}",
    "blanks and line ends": r"\s{2,}|[\n\r\t]",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
    "clip": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "words": r"\w+|[^\w\s]+",
}
SYNTAX = {
    "lazy": r"a+?b|\w{2,4}?\s|.??-",
    "alternatives in one another": r"(?:a|ab|(?:abc|b)c)(?:d|)x?|(?:\d\d)+",
    "braces": r"(?:ab){2}|a{,2}b|b{2,}|[xy]{1,3}z",
    "braces and plus": r"a{1,2}+b",
    "line anchors": r"^\w+|\w+$|\A-|-\z",
    "word borders": r"\ba\w|\Bb\B",
    "looking around": r"(?<=a)b|(?<!\s)\d|x(?=yz|\d)|\s(?![a-c]{2})",
    "classes": r"[^\W\d_]+|[a-c[x-z]&&[^by]]+|[-+*/]|[\]\[]",
    "escapes": r"\x41|\x{e9}|\u00df|\t\f|\.|\-|\{|\\",
    "dot and flags": r"(?m:a.b)|a.c|(?i)b.d|[^\S\n]+e",
    "either case": r"(?i:k[a-f]s|don't|[^a-y]+)",
    "possessive": r"a*+b|[ab]?+c|\s++x",
    "negated properties": r"\P{L}\p{^N}|\p{Sm}+|\p{Zs}\p{Cf}?",
    "a repeat in a repeat": r"(?:a+b*c)+|(?:(?:x|y)+z)+",
}
REFUSED = [
    r"(a)\1", r"(?>ab)c", r"x*", r"a|", r"[[:alpha:]]", r"(?i:ss)", r"(?i:é)", r"\p{Greek}", r"\p{Cn}", r"\X", r"a**",
    r"(?:a*)+b", r"(", r")", r"[", r"[]a]", r"a{", r"\1", r"(?<=ab)c", r"(?=a+)b", r"(?<n>a)", r"\k<n>", r"a{5000}",
    "(?:" * 200 + "a" + ")" * 200, r"[b-a]", r"\x{110000}", r"\ud800", r"(?s:a)", r"(?:ab)++", "\\",
]  # fmt: skip
