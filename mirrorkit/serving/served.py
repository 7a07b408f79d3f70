"""The models of a server: each variant of each bundle that was asked for, open, under the name that clients call."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.runtime.encoding import Call, Encoding
from mirrorkit.runtime.engines import asked, open_encoding
from mirrorkit.runtime.fingerprint import fingerprint_of
from mirrorkit.runtime.hub import folder_of
from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.settings import Named, Settings
from mirrorkit.text.tokenizer import Piece, Tokenizer

Tokens = npt.NDArray[np.int32]
_UNCUT = 1 << 24  # tokens; no request has as many


@dataclass(eq=False)
class Served:
    """One variant of one bundle, open."""

    name: str  # as clients call the bundle
    encoding: Encoding
    fingerprint: str
    created: int  # Unix time of its graph
    _longer: Tokenizer | None = None
    _uncut: Tokenizer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def variant(self) -> str:
        return self.encoding.opened.variant

    @property
    def id(self) -> str:
        """Name and variant, which a request may ask for together."""
        return f"{self.name}:{self.variant}"

    @property
    def max_length(self) -> int:
        return self.encoding.opened.max_length

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the token ids of texts, prompts in front, cut at the model's length."""
        ids = self.encoding.opened.tokenizer.ids(texts)
        return [ids[i] for i in range(len(ids))]

    def is_cut(self, text: str, tokens: Tokens) -> bool:
        """Tell whether `tokens`, of `text`, are not all of them; only those as long as may be need a second look."""
        return len(tokens) >= self.max_length and len(self._second_look().ids_of(text)) > self.max_length

    def pieces(self, texts: Sequence[str], *, special: bool) -> list[list[Piece]]:
        """Return the tokens of whole texts, however long."""
        with self._lock:
            if self._uncut is None:
                self._uncut = self.encoding.opened.tokenizer.copied(_UNCUT)
        return self._uncut.pieces(texts, special=special)

    def knows(self, ids: Tokens) -> bool:
        """Tell whether the tokenizer has all these ids."""
        return all(self.encoding.opened.tokenizer.knows(int(number)) for number in np.unique(ids))

    def _second_look(self) -> Tokenizer:
        """Return the same tokenizer with room for one token more, made when first needed."""
        with self._lock:
            if self._longer is None:
                opened = self.encoding.opened
                self._longer = opened.tokenizer.copied(opened.max_length + 1)
            return self._longer

    def call(self, **options: Any) -> Call:
        """Return what the options of a request come to."""
        return self.encoding.call(**options)


@dataclass(frozen=True)
class Models:
    """All that is served, by name and by variant; the first of each is the default."""

    by_name: Mapping[str, Mapping[str, Served]]

    def __iter__(self) -> Iterator[Served]:
        return (served for variants in self.by_name.values() for served in variants.values())

    @property
    def default(self) -> Served:
        return next(iter(self))

    def find(self, model: str | None, variant: str | None = None, *, param: str = "model") -> Served:
        """Return the model of that name, or `name:variant`, in that variant.

        Raises RefusedError naming those there are.
        """
        name, _, told = (model or self.default.name).partition(":")
        variants = self.by_name.get(name)
        if variants is None:
            there = ", ".join(self.by_name)
            raise RefusedError(
                Why.NO_MODEL, f"The model {shown(model)} does not exist; this server has {there}.", param
            )
        wanted = variant or told
        if not wanted:
            return next(iter(variants.values()))
        found = variants.get(wanted) or next((s for v, s in variants.items() if v.partition("-")[0] == wanted), None)
        if found is None:
            there = ", ".join(variants)
            raise RefusedError(
                Why.NO_MODEL,
                f"The model {name} is not served as {shown(wanted)}; this server has {there}.",
                "variant" if variant else param,
            )
        return found


def shown(value: object) -> str:
    """Return what a client sent, short enough to be sent back."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…"


def open_models(settings: Settings) -> Models:
    """Open all bundles in all the variants asked for; raises the errors of an Encoder."""
    by_name: dict[str, dict[str, Served]] = {}
    for named in settings.bundles:
        variants: dict[str, Served] = {}
        for variant in settings.variants:
            served = open_served(named, variant, settings)
            variants.setdefault(served.variant, served)
        by_name[named.name] = variants
    return Models(by_name)


def open_served(named: Named, variant: str, settings: Settings) -> Served:
    """Open one variant of a bundle; raises the errors of an Encoder."""
    how = asked(variant, settings.device, settings.threads)
    folder = folder_of(named.folder, how.variant, how.chooser)
    encoding = open_encoding(folder, how)
    file: Path = encoding.opened.file
    return Served(named.name, encoding, fingerprint_of(encoding.opened), int(file.stat().st_mtime))
