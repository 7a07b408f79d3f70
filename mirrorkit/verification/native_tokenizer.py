"""What of a tokenizer.json the C++ library does not read, by a look at it; export/cpp has the reader itself.

The look is coarser than the reader: an expression that it lets pass may be refused there, and then by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

_KNOWN = {
    "normalizer": "BertNormalizer NFC NFD NFKC NFKD Lowercase StripAccents Strip Nmt Replace Prepend ByteLevel "
    "Precompiled",
    "pre_tokenizer": "BertPreTokenizer Whitespace WhitespaceSplit Punctuation Digits CharDelimiterSplit Split "
    "Metaspace ByteLevel",
    "post_processor": "TemplateProcessing BertProcessing RobertaProcessing ByteLevel",
    "model": "WordPiece BPE Unigram",
}
_LISTS = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors"}
_PROPERTY = r"\\[pP]\{\^?(?:Han|[LMNPSZ]|[LMNPSZ][a-z]|C[cfo])\}"
_CLASS_OR_GROUP = r"\((?!\?)|\(\?(?:[:=!]|<[=!]|-?[im]+(?:-[im]+)?[:)])"
# What is read of an expression, token by token; anything else is not.
_READ = re.compile(
    rf"{_PROPERTY}|\\[AzbBsSdDwWnrtfv]|\\u[0-9a-fA-F]{{4}}|\\x(?:\{{[0-9a-fA-F]{{1,6}}\}}|[0-7][0-9a-fA-F])"
    rf"|\\[^a-zA-Z0-9]|{_CLASS_OR_GROUP}|\[(?!:)|[^\\(\[]",
    re.DOTALL,
)


def not_read(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of the object in a tokenizer.json the C++ library refuses, for people."""
    for part, known in _KNOWN.items():
        for one in _parts(values.get(part), part):
            kind = str(one.get("type"))
            if kind not in known.split():
                yield f"the {part.replace('_', '-')} {kind}"
            pattern = one.get("pattern")
            if isinstance(pattern, Mapping) and isinstance(regex := pattern.get("Regex"), str) and not _is_read(regex):
                yield f"the regular expression {regex}"
    model = values.get("model")
    if isinstance(model, Mapping) and model.get("dropout"):
        yield "a BPE with dropout"


def alike_tokens(file: Path) -> list[str]:
    """Return the added tokens of a tokenizer.json that are the same text once they are normalized.

    Which of them a text gets is not settled: it changes from one run of `tokenizers` to the next.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # what is wrong with it others tell
        return []
    normalizer = tokenizer.normalizer
    if normalizer is None:
        return []
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.normalized]
    normal = {content: normalizer.normalize_str(content) for content in added}
    count = Counter(normal.values())
    return [content for content in added if count[normal[content]] > 1]


def _parts(value: object, part: str) -> Iterator[Mapping[str, Any]]:
    """Yield a part, or those of a sequence of them."""
    if not isinstance(value, Mapping):
        return
    if value.get("type") == "Sequence" and part in _LISTS:
        for one in value.get(_LISTS[part]) or ():
            yield from _parts(one, part)
    else:
        yield value


def _is_read(regex: str) -> bool:
    place = 0
    while place < len(regex):
        found = _READ.match(regex, place)
        if found is None:
            return False
        place = found.end()
    return True
