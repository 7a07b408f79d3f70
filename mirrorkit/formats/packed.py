"""A bundle in one file, `NAME.mkit`: a ZIP archive that can be mapped into memory and used as it lies there.

Its members are the bundle's files, stored as they are, each at a multiple of `ALIGNMENT`, and `mirrorkit.json` is the
first of them. That has the SHA-256 of every other one; its own is in the archive's comment, which every such file ends
with: `mirrorkit bundle 1 sha256 ` and 64 hexadecimal digits. A file inside has the path `NAME.mkit/onnx/model.onnx`,
and `content` reads it. export/cpp/src/packed.cpp reads the same, and refuses the same.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mirrorkit.errors import BundleError
from mirrorkit.paths import size_of

ALIGNMENT = 4096  # bytes; a page of memory
_MANIFEST = "mirrorkit.json"  # that of formats.bundle, which reads this module
_MARK = b"mirrorkit bundle 1 sha256 "
_COMMENT = len(_MARK) + 64
_MOST_MEMBERS = 10_000
_LONGEST_NAME = 512  # bytes
_IN_64_BITS = 0xFFFFFFFF  # instead of a number that has no room in 32
_ROOM = 0xFFFFFFFF  # from where on a number has none
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_ENCRYPTED, _UTF8 = 1, 1 << 11  # flags
_ZIP64, _PADDING = 1, 0xD935  # extra fields; the latter is the one that Android's zipalign puts zeros into
_VERSION, _DATE = 45, 33  # of the format, the one with 64 bits; 1980-01-01, so that the same files make the same bytes
_UNIX, _MODE = 3 << 8, 0o100644 << 16  # who made it, so that names are taken as they are, and a file's permissions


@dataclass(frozen=True)
class Packed:
    """The files of a bundle in one file, by their paths in the bundle."""

    file: Path
    members: Mapping[str, memoryview]


def is_packed(file: Path) -> bool:
    """Return whether `file` begins as such a file does."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as handle:
            start = handle.read(_LOCAL.size + len(_MANIFEST))
    except (OSError, ValueError):
        return False
    return start.startswith(b"PK\x03\x04") and start.endswith(_MANIFEST.encode())


def packed_in(path: Path) -> tuple[Path, str] | None:
    """Return the file that `path` leads into and the name of the member there; None for any other path."""
    for place in path.parents:
        try:
            if place.is_dir():
                return None
        except (OSError, ValueError):
            return None
        if is_packed(place):
            return place, path.relative_to(place).as_posix()
    return None


def content(path: Path) -> memoryview | None:
    """Return the bytes of a file inside a packed bundle; None for a path that leads into none.

    Raises BundleError for a bundle that is damaged or has no such file.
    """
    found = packed_in(path)
    if found is None:
        return None
    members = read_packed(found[0]).members
    if found[1] not in members:
        raise BundleError(f"{found[0]}: {found[1]} is missing")
    return members[found[1]]


def bytes_of(file: Path) -> memoryview | bytes:
    """Return the content of a file, inside a packed bundle or not.

    Raises OSError where it cannot be read, BundleError where the bundle cannot.
    """
    packed = content(file)
    if packed is not None:
        return packed
    size_of(file)
    return file.read_bytes()


def read_packed(file: Path) -> Packed:
    """Map a packed bundle into memory and read its list of files.

    Raises BundleError for whatever `write_packed` does not write: members that are compressed, overlap, lie beyond the
    end or have the same or unsafe names, and a manifest that is not the one that was packed.
    """
    try:
        size_of(file)
        with file.open("rb") as handle:
            data = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as err:
        raise BundleError(f"{file}: cannot be read ({getattr(err, 'strerror', None) or err})") from err
    try:
        return Packed(file, _members(data))
    except (_WrongError, struct.error) as err:
        why = "cut short" if isinstance(err, struct.error) else err
        raise BundleError(f"{file}: not a whole bundle as mirrorkit pack writes it: {why}") from err


class _WrongError(Exception):
    pass


def _members(data: memoryview) -> dict[str, memoryview]:
    digest, count, start, end = _end(data)
    found: dict[str, memoryview] = {}
    taken, at = 0, start
    for _ in range(count):
        name, size, place, at = _entry(data, at, end)
        _check_name(name)
        first = _first_byte(data, name, place)
        if place < taken or first + size > start:
            raise _WrongError("its members overlap")
        taken = first + size
        if name.decode() in found:
            raise _WrongError(f"holds two files called {name.decode()}")
        found[name.decode()] = data[first:taken]
    if at != end:
        raise _WrongError("its list of members does not end where it should")
    for path in found:
        if any(folder.as_posix() in found for folder in PurePosixPath(path).parents):
            raise _WrongError(f"{path} lies in what is itself a file")
    if _MANIFEST not in found:
        raise _WrongError(f"has no {_MANIFEST}")
    if hashlib.sha256(found[_MANIFEST]).hexdigest().encode() != digest:
        raise _WrongError(f"{_MANIFEST} was changed or damaged (its SHA-256 is not the recorded one)")
    return found


def _end(data: memoryview) -> tuple[bytes, int, int, int]:
    """Return the digest of the manifest, the number of members, and from where to where the list of them lies."""
    end = len(data) - _END.size - _COMMENT
    if end < 0:
        raise _WrongError("cut short")
    signature, *_, count, size, start, length = _END.unpack_from(data, end)
    comment = bytes(data[end + _END.size :])
    if signature != b"PK\x05\x06" or length != _COMMENT or not comment.startswith(_MARK):
        raise _WrongError("cut short, or changed by another program")
    if count == 0xFFFF or _IN_64_BITS in (size, start):
        locator = end - _LOCATOR.size
        end = locator - _END64.size
        if end < 0:
            raise _WrongError("cut short")
        signature, _, place, _ = _LOCATOR.unpack_from(data, locator)
        signature64, *_, count, size, start = _END64.unpack_from(data, end)
        if (signature, signature64, place) != (b"PK\x06\x07", b"PK\x06\x06", end):
            raise _WrongError("its parts are not where they should be")
    if count > _MOST_MEMBERS:
        raise _WrongError(f"says that it holds {count} files")
    if start > end or size != end - start:
        raise _WrongError("its list of members is not where it should be")
    return comment[len(_MARK) :], count, start, end


def _entry(data: memoryview, at: int, end: int) -> tuple[bytes, int, int, int]:
    """Return name, size and place of a member, and where the entry of the next one begins."""
    if end - at < _ENTRY.size:
        raise _WrongError("its list of members is cut short")
    fields = _ENTRY.unpack_from(data, at)
    signature, _, _, flags, method = fields[:5]
    packed, size, name_size, extra_size, comment_size = fields[8:13]
    place = fields[-1]
    names = at + _ENTRY.size
    extras = names + name_size
    following = extras + extra_size + comment_size
    if signature != b"PK\x01\x02":
        raise _WrongError("its parts are not where they should be")
    if following > end:
        raise _WrongError("its list of members is cut short")
    size, packed, place = _widened(data[extras : extras + extra_size], [size, packed, place])
    if method or packed != size:
        raise _WrongError("holds a compressed file")
    if flags & _ENCRYPTED:
        raise _WrongError("holds an encrypted file")
    return bytes(data[names:extras]), size, place, following


def _widened(extra: memoryview, values: list[int]) -> list[int]:
    """Return the values, those that have no room in 32 bits from the extra field for them."""
    at = 0
    while len(extra) - at >= 4:
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if length > len(extra) - at:
            raise _WrongError("its list of members is cut short")
        if kind == _ZIP64:
            wide = iter(struct.unpack_from(f"<{length // 8}Q", extra, at))
            try:
                values = [next(wide) if value == _IN_64_BITS else value for value in values]
            except StopIteration as err:
                raise _WrongError("its list of members is cut short") from err
        at += length
    return values


def _first_byte(data: memoryview, name: bytes, place: int) -> int:
    if place > len(data):
        raise _WrongError("cut short")
    signature, *_, name_size, extra_size = _LOCAL.unpack_from(data, place)
    first = place + _LOCAL.size + name_size + extra_size
    if signature != b"PK\x03\x04":
        raise _WrongError("its parts are not where they should be")
    if data[place + _LOCAL.size : place + _LOCAL.size + name_size] != name:
        raise _WrongError("its members are not those on its list")
    return int(first)


def _check_name(name: bytes) -> None:
    """Raise unless the name is a path in a folder, with forward slashes and no step back."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = ""
    steps = set(text.split("/"))
    control = any(ord(c) < 32 or ord(c) == 127 for c in text)
    if not text or len(name) > _LONGEST_NAME or steps & {"", ".", ".."} or set("\\:") & set(text) or control:
        raise _WrongError("the name of a member is no path in a folder")


def write_packed(out: BinaryIO, manifest: bytes, files: Iterable[tuple[str, memoryview | bytes]]) -> None:
    """Write a packed bundle: its manifest and its other files, in that order. The same ones make the same bytes."""
    import zlib

    entries = []
    for name, data in ((_MANIFEST, manifest), *files):
        place = out.tell()
        raw = name.encode()
        size, check = len(data), zlib.crc32(data)
        wide = struct.pack("<2H2Q", _ZIP64, 16, size, size) if size >= _ROOM else b""
        shown = _shown(size)
        start = place + _LOCAL.size + len(raw) + len(wide) + 4
        padding = -start % ALIGNMENT
        extra = wide + struct.pack("<2H", _PADDING, padding) + bytes(padding)
        out.write(
            _LOCAL.pack(b"PK\x03\x04", _VERSION, _UTF8, 0, 0, _DATE, check, shown, shown, len(raw), len(extra))
            + raw
            + extra
        )
        out.write(data)
        entries.append(_entry_of(raw, size, place, check))
    start = out.tell()
    out.write(b"".join(entries))
    _write_end(out, len(entries), start, out.tell() - start, hashlib.sha256(manifest).hexdigest().encode())


def _entry_of(name: bytes, size: int, place: int, check: int) -> bytes:
    wide = [value for value in (size, size, place) if value >= _ROOM]
    extra = struct.pack(f"<2H{len(wide)}Q", _ZIP64, 8 * len(wide), *wide) if wide else b""
    shown, at = _shown(size), _shown(place)
    head = (b"PK\x01\x02", _UNIX | _VERSION, _VERSION, _UTF8, 0, 0, _DATE, check, shown, shown, len(name), len(extra))
    return _ENTRY.pack(*head, 0, 0, 0, _MODE, at) + name + extra


def _shown(value: int) -> int:
    return value if value < _ROOM else _IN_64_BITS


def _write_end(out: BinaryIO, count: int, start: int, size: int, digest: bytes) -> None:
    if start >= _ROOM:
        place = start + size
        out.write(_END64.pack(b"PK\x06\x06", _END64.size - 12, _VERSION, _VERSION, 0, 0, count, count, size, start))
        out.write(_LOCATOR.pack(b"PK\x06\x07", 0, place, 1))
    out.write(_END.pack(b"PK\x05\x06", 0, 0, count, count, size, _shown(start), _COMMENT) + _MARK + digest)
