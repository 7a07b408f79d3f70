"""The texts of a caller, checked one by one: a wrong one is named by its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell one, but it is not a character


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


def replace_surrogates(text: str) -> str:
    """Return `text` with U+FFFD for each lone surrogate."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def shown_name(name: str) -> str:
    r"""Return the name of a file or folder in a form that can be written anywhere, in one line.

    >>> shown_name("two\nlines.txt")
    'two\\nlines.txt'
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` items, the last one shorter; no further ahead is read than the list asked for."""
    rest = iter(items)
    while block := list(islice(rest, size)):
        yield block
