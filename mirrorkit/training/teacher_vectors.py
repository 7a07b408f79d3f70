"""Vectors of all distinct texts of a corpus by one or several teachers, computed once and kept in the user's cache.

An entry is of one model and one list of texts, and told by hashes of both; it holds no text. Of more than `LARGE` texts
the numbers are kept in half precision and read where they lie, so that memory need not hold them.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mirrorkit.errors import ConfigError, ModelError, OutputError
from mirrorkit.evaluation.loading import Loaded, load_encoder
from mirrorkit.formats.bundle import is_bundle
from mirrorkit.formats.files import files_within, sha256_of
from mirrorkit.formats.packed import is_packed
from mirrorkit.formats.training_record import TRAINING, TeacherRecord
from mirrorkit.paths import local_path, size_of
from mirrorkit.progress import Progress
from mirrorkit.publish import publish_folder
from mirrorkit.runtime.cache import default_cache, make_private
from mirrorkit.runtime.hub import holds_bundle
from mirrorkit.text.ragged import Floats, Ints
from mirrorkit.text.strings import chunks
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.large import LARGE

if TYPE_CHECKING:
    from mirrorkit.runtime.encoder import Encoder

log = logging.getLogger(__name__)

_BLOCK = 4_096  # texts encoded at once
_VECTORS, _SUM = "vectors.npy", "vectors.crc32"
_DECISIVE = (".json", ".safetensors", ".txt", ".model", ".py")  # files of a model folder that its vectors come from
_OTHERS = {"onnx", "openvino"}  # folders in it that they do not


@dataclass(frozen=True)
class Teacher:
    """Unit vectors of the distinct texts of a corpus, by every teacher."""

    records: tuple[TeacherRecord, ...]
    vectors: tuple[Floats, ...]  # [distinct, dim] each; float16 for a large corpus
    keys: Ints  # hashes of the texts, ascending
    places: Ints  # of each key, which vector is its text's

    def rows(self, texts: Iterable[str]) -> Ints:
        """Return which vectors are those of these texts, all of them texts of the corpus."""
        return self.places[np.searchsorted(self.keys, _hashes(texts))]


def records_of(teacher: Teacher | None) -> tuple[TeacherRecord, ...]:
    """Return who the teachers are."""
    return () if teacher is None else teacher.records


def ask_teachers(
    names: Sequence[str | Path],
    corpus: Corpus,
    *,
    device: str,
    trust_remote_code: bool,
    progress: Progress,
    keep: bool = True,
) -> Teacher | None:
    """Open each teacher and have its vectors of every text, partner and negative of `corpus`; None for no names.

    A bundle is run by the light runtime on the CPU, by its fp32 graph where it has one; a model folder, a shipped name
    or a hub id by torch. What is not found in the cache is put there, with `keep`. Raises ModelError or BundleError for
    a teacher that cannot be used.
    """
    if not names:
        return None
    columns = [column for column in (corpus.texts, corpus.partners, corpus.negatives) if column is not None]
    keys, first = np.unique(np.concatenate([_hashes(column) for column in columns]), return_index=True)
    places = np.empty(len(keys), dtype=np.int64)
    places[np.argsort(first)] = np.arange(len(keys))
    distinct = _Distinct(columns, np.sort(first), hashlib.sha256(keys[np.argsort(first)].tobytes()).hexdigest())
    records, vectors = [], []
    for name in names:
        loaded = _opened(name, device, trust_remote_code)
        record = TeacherRecord(_told(name), _fingerprint(loaded), loaded.variant, loaded.dim)
        progress.phase(f"asking the teacher {record.name}")
        vectors.append(_kept(loaded, record, distinct, progress, keep=keep))
        records.append(record)
    return Teacher(tuple(records), tuple(vectors), keys, places)


@dataclass(frozen=True)
class _Distinct:
    """The distinct texts of some columns, in the order in which they come first."""

    columns: Sequence[Sequence[str]]
    firsts: Ints  # where they stand in all columns, one after the other
    sha256: str

    def __len__(self) -> int:
        return len(self.firsts)

    def __iter__(self) -> Iterator[str]:
        ends = np.cumsum([len(column) for column in self.columns])
        for column, end in zip(self.columns, ends, strict=True):
            inside = self.firsts[(self.firsts >= end - len(column)) & (self.firsts < end)]
            yield from (column[i] for i in (inside - (end - len(column))).tolist())


def _hashes(texts: Iterable[str]) -> Ints:
    """Return 64 bits of each text: of ten million, two are taken for one with a chance of three in a million."""
    found = b"".join(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(found, dtype="<i8").astype(np.int64)


def _opened(name: str | Path, device: str, trust_remote_code: bool) -> Loaded:
    folder = local_path(name)
    if not (is_bundle(folder) or is_packed(folder) or holds_bundle(name)):
        own = "cpu" if device == "cpu" else "auto"  # of several GPUs the one that this process has
        return load_encoder(name, device=own, trust_remote_code=trust_remote_code)
    try:
        return load_encoder(name, variant="fp32")
    except ConfigError:  # it has none
        return load_encoder(name)


def _told(name: str | Path) -> str:
    """Return a hub id or shipped name, of a path only the last part: the rest is private."""
    path = local_path(name)
    return path.resolve().name if path.exists() else str(name)


def _fingerprint(loaded: Loaded) -> str:
    """Return the SHA-256 of what decides a teacher's vectors: of a model folder the names and bytes of its files."""
    if loaded.variant is not None:
        return cast("Encoder", loaded.encoder).fingerprint
    whole = hashlib.sha256()
    for file in sorted(files_within(loaded.folder)):
        inside = file.relative_to(loaded.folder)
        if file.suffix in _DECISIVE and file.is_file() and inside.parts[0] not in {TRAINING, *_OTHERS}:
            whole.update(f"{inside.as_posix()}\0{sha256_of(file)}\n".encode())
    return whole.hexdigest()


def _kept(loaded: Loaded, record: TeacherRecord, texts: _Distinct, progress: Progress, *, keep: bool) -> Floats:
    """Return the vectors from the cache, or compute them and put them there.

    A cache that cannot be written is no reason to give up: that is told, and the vectors are in memory.
    """
    kind: np.dtype[Any] = np.dtype("float16" if len(texts) > LARGE else "float32")
    shape = (len(texts), loaded.dim)
    told = f"unit vectors 1\0{record.sha256}\0{kind}\0{texts.sha256}"
    entry = default_cache("teacher") / hashlib.sha256(told.encode()).hexdigest()[:32]
    if (found := _read(entry, shape, kind)) is not None:
        log.info("the vectors of %s are in the cache", record.name)
        return found
    if keep:
        try:
            make_private(entry.parent, "vectors", "tell what was read")
            with publish_folder(entry, overwrite=True) as new:
                _write(new, shape, kind, _computed(loaded, record, texts, progress))
        except OutputError as err:
            log.warning("the vectors of the teacher are not kept for the next time: %s", err)
        else:
            return _loaded(entry, shape)
    vectors = np.empty(shape, kind)
    done = 0
    for block in _computed(loaded, record, texts, progress):
        vectors[done : done + len(block)] = block
        done += len(block)
    return vectors


def _computed(loaded: Loaded, record: TeacherRecord, texts: _Distinct, progress: Progress) -> Iterator[Floats]:
    """Yield unit vectors of the texts, a block at a time."""
    done = 0
    for block in chunks(texts, _BLOCK):
        vectors = loaded.encoder.encode(block)
        if not np.isfinite(vectors).all():
            raise ModelError(f"{record.name}: its vectors hold NaN or infinity, so it cannot be a `teacher`")
        yield vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        done += len(block)
        progress.advance(done, len(texts))


def _write(folder: Path, shape: tuple[int, int], kind: np.dtype[Any], blocks: Iterator[Floats]) -> None:
    """Write block by block what memory may not hold; a full disk is an error here, and with a mapped file the end."""
    total = 0
    with (folder / _VECTORS).open("wb") as out:
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        for block in blocks:
            data = block.astype(kind).tobytes()
            total = zlib.crc32(data, total)
            out.write(data)
    (folder / _SUM).write_text(f"{total:08x}", encoding="ascii")


def _read(entry: Path, shape: tuple[int, int], kind: np.dtype[Any]) -> Floats | None:
    """Return what an entry holds; None where there is none, or it is not what was written."""
    try:
        for name in (_VECTORS, _SUM):
            size_of(entry / name)
        make_private(entry.parent, "vectors", "tell what was read")
        vectors = _loaded(entry, shape)
        recorded = (entry / _SUM).read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, OutputError) as err:
        log.warning("%s: cannot be read, so the teacher is asked again (%s)", entry, err)
        return None
    if vectors.shape != shape or vectors.dtype != kind or f"{_sum(vectors):08x}" != recorded:
        log.warning("%s: damaged, so the teacher is asked again", entry)
        return None
    return vectors


def _loaded(entry: Path, shape: tuple[int, int]) -> Floats:
    """Return the vectors: those of a large corpus as they lie on the disk."""
    found: Floats = np.load(entry / _VECTORS, mmap_mode="r" if shape[0] > LARGE else None, allow_pickle=False)
    return found


def _sum(vectors: Floats) -> int:
    total = 0
    for first in range(0, len(vectors), _BLOCK):
        total = zlib.crc32(np.ascontiguousarray(vectors[first : first + _BLOCK]).data, total)
    return total
