"""A tokenizer.json trimmed to a corpus, without a model, for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from mirrorkit.exporter.trim.plan import ids_of_processor, kept_ids, pieces_of, renumbered, tokenizer_of


@dataclass(frozen=True)
class Cut:
    """A tokenizer as it was and trimmed."""

    old: Tokenizer
    new: Tokenizer
    value: dict[str, Any]  # tokenizer.json of the trimmed one
    kept: list[int]  # old ids

    def assert_spelled_alike(self, texts: Sequence[str], mark: str = "") -> int:
        """Assert that no text got lost, and that those whose pieces are all there have them; return how many have.

        `mark` is what tokens that continue a word begin with.
        """
        new_ids, same = {old: new for new, old in enumerate(self.kept)}, 0
        for text in texts:
            before, after = self.old.encode(text), self.new.encode(text)
            assert spelled(before.tokens, mark) == spelled(after.tokens, mark), text
            mapped = [new_ids.get(i) for i in before.ids]
            if None not in mapped:
                assert mapped == after.ids, text
                same += 1
        return same


def spelled(tokens: Sequence[str], mark: str) -> str:
    return "".join(token.removeprefix(mark) for token in tokens)


def cut(tokenizer: Tokenizer, corpus: Sequence[str], min_count: int = 1) -> Cut:
    """Return the tokenizer trimmed to the corpus."""
    value = json.loads(tokenizer.to_str())
    old = tokenizer_of(value)
    pieces = pieces_of(value, [], "test")
    counts = [0] * (1 + max(old.get_vocab().values()))
    for text in corpus:
        for i in old.encode(text).ids:
            counts[i] += 1
    named = {token["id"] for token in value["added_tokens"]} | ids_of_processor(value)
    kept = kept_ids(pieces, counts, min_count, named)
    trimmed = renumbered(value, pieces, {i: place for place, i in enumerate(kept)})
    return Cut(old, tokenizer_of(trimmed), trimmed, kept)
