"""The texts of a caller, checked one by one: a wrong one is named by its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice


def strings(texts: Iterable[str], caller: str) -> Iterator[str]:
    """Return an iterator over `texts`; raises TypeError for one string, and on reaching anything but a string.

    Lists, tuples, generators, numpy arrays and columns of a data frame will all do.
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"{caller} takes a sequence of strings, not one string; write {caller}([text])")
    if not isinstance(texts, (list, tuple)) and isinstance(texts, (Mapping, Set)):
        raise TypeError(f"{caller} takes a sequence of strings, not a {type(texts).__name__}, which has no rows")
    try:
        items = iter(texts)
    except TypeError as err:
        raise TypeError(f"{caller} takes a sequence of strings, not {type(texts).__name__}") from err
    return _checked(items)


def _checked(items: Iterator[object]) -> Iterator[str]:
    for index, text in enumerate(items):
        if not isinstance(text, str):
            raise TypeError(f"texts[{index}] is {type(text).__name__}, not str")
        yield text


def chunks(items: Iterator[str], size: int) -> Iterator[list[str]]:
    """Yield lists of `size` items, the last one shorter."""
    while block := list(islice(items, size)):
        yield block
