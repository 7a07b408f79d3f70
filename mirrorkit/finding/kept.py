"""Vectors of passages, kept in the user's cache: what was encoded once by one encoder is not encoded again.

An entry holds the vectors of one file or folder by one encoder and prompt, and hashes of the texts that they are of; no
text. A text that changed is encoded anew, the others are not.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import OutputError
from mirrorkit.formats.usage import Usage
from mirrorkit.paths import size_of
from mirrorkit.progress import Progress
from mirrorkit.publish import publish_folder
from mirrorkit.runtime.cache import default_cache, make_private
from mirrorkit.runtime.encoder import CHUNK
from mirrorkit.runtime.output import Array
from mirrorkit.text.ragged import Floats

log = logging.getLogger(__name__)

Keys = npt.NDArray[np.void]  # one hash each

_HASH = 16  # bytes; among 10^9 texts two alike are as likely as 1 in 10^20
_KEYS, _VECTORS, _SUM = "keys.npy", "vectors.npy", "vectors.crc32"


class Encodes(Protocol):
    """What passages are encoded by: an Encoder, or whatever else gives the vectors of one."""

    @property
    def usage(self) -> Usage: ...

    @property
    def dim(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def encode_iter(self, texts: Iterable[str], *, chunk: int, prompt: str) -> Iterator[Array]:
        """Yield the vectors of texts, some at a time."""


@dataclass(frozen=True)
class Kept:
    """Vectors float32 [passages, dim], which may lie on the disk."""

    vectors: Floats
    encoded: int  # texts that were encoded for it
    folder: Path | None  # of the entry; None: it could not be kept


def kept_vectors(encoder: Encodes, texts: Sequence[str], source: Path, parts: str, progress: Progress) -> Kept:
    """Return the vectors of `texts`, the `parts` of a file or folder, from the cache as far as it has them.

    A cache that cannot be written is no reason to give up: that is told, and the vectors are in memory.
    """
    prompt = encoder.usage.document_prompt()
    entry = _entry(encoder, prompt, f"{source.resolve()}\0{parts}")
    keys = _keys(texts)
    old = _read(entry, encoder.dim)
    if old is not None and old[0].tobytes() == keys.tobytes():
        return Kept(old[1], 0, entry)
    vectors, encoded = _filled(encoder, prompt, texts, keys, old, progress)
    try:
        make_private(entry.parent, "vectors", "tell what was read")
        with publish_folder(entry, overwrite=True) as new:
            np.save(new / _KEYS, keys)
            np.save(new / _VECTORS, vectors)
            (new / _SUM).write_text(_sum(vectors), encoding="ascii")
    except OutputError as err:
        log.warning("the vectors are not kept for the next time: %s", err)
        return Kept(vectors, encoded, None)
    return Kept(vectors, encoded, entry)


def _entry(encoder: Encodes, prompt: str, source: str) -> Path:
    what = f"{encoder.fingerprint}\0{prompt}\0{source}"
    return default_cache("search") / hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _keys(texts: Sequence[str]) -> Keys:
    hashes = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH).digest() for text in texts)
    return np.frombuffer(b"".join(hashes), dtype=f"V{_HASH}")


def _read(entry: Path, dim: int) -> tuple[Keys, Floats] | None:
    """Return what an entry holds; None where there is none, or it is not what is written here."""
    try:
        for name in (_KEYS, _VECTORS, _SUM):
            size_of(entry / name)
        keys = np.load(entry / _KEYS, allow_pickle=False)
        vectors = np.load(entry / _VECTORS, mmap_mode="r", allow_pickle=False)
        recorded = (entry / _SUM).read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as err:
        log.warning("%s: cannot be read, so everything is encoded again (%s)", entry, err)
        return None
    fits = keys.dtype == f"V{_HASH}" and keys.shape == vectors.shape[:1] and vectors.shape[1:] == (dim,)
    if not fits or vectors.dtype != np.float32 or _sum(vectors) != recorded:
        log.warning("%s: does not hold what belongs there, so everything is encoded again", entry)
        return None
    return keys, vectors


def _sum(vectors: Floats) -> str:
    """Return a checksum of vectors: a file that was damaged must not find other passages, nor overflow."""
    return f"{zlib.crc32(np.ascontiguousarray(vectors).data):08x}"


def _filled(
    encoder: Encodes,
    prompt: str,
    texts: Sequence[str],
    keys: Keys,
    old: tuple[Keys, Floats] | None,
    progress: Progress,
) -> tuple[Floats, int]:
    """Return the vectors of all texts, and how many had to be encoded: each distinct one that is not in `old`."""
    known = {key: row for row, key in enumerate(old[0].tolist())} if old else {}
    wanted = keys.tolist()
    new = {key: i for i, key in enumerate(wanted) if key not in known}
    vectors = np.empty((len(texts), encoder.dim), np.float32)
    if old:
        places = [i for i, key in enumerate(wanted) if key in known]
        vectors[places] = old[1][[known[wanted[i]] for i in places]]
    fresh = np.empty((len(new), encoder.dim), np.float32)
    done = 0
    for part in encoder.encode_iter((texts[i] for i in new.values()), chunk=CHUNK, prompt=prompt):
        fresh[done : done + len(part)] = part
        done += len(part)
        progress.advance(done, len(new))
    row = {key: i for i, key in enumerate(new)}
    places = [i for i, key in enumerate(wanted) if key in row]
    vectors[places] = fresh[[row[wanted[i]] for i in places]]
    return vectors, len(new)
