"""Packed files: members one after another, damage, and what is made to fill memory, in every packing alike."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.errors import CorpusError
from mirrorkit.text import packed
from mirrorkit.text.readers import TextSource

Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    arrow = pytest.importorskip("pyarrow", reason="needs the parquet extra")
    return bytes(arrow.Codec("zstd").compress(data, asbytes=True))


PACKINGS: dict[str, Pack] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}


@pytest.fixture(params=PACKINGS)
def packing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "UNSUSPICIOUS", 1 << 16)
    monkeypatch.setattr(packed, "SWELLING", 20)


def read(file: Path, data: bytes) -> list[str]:
    file.write_bytes(data)
    return [text for (text,) in TextSource(str(file)).records()]


def test_members_are_one_stream_and_empty_ones_end_nothing(packing: str, tmp_path: Path) -> None:
    pack = PACKINGS[packing]
    one, two, none = pack(b"one\nt"), pack(b"wo\nthree\n"), pack(b"")
    padding = b"" if packing == "zst" else bytes(512)  # as tapes and xz itself add; zstd knows none
    data = none + one + none * 50 + padding + two + none
    assert read(tmp_path / f"c.{packing}", data) == ["one", "two", "three"]


def test_what_follows_a_member_and_is_none_is_never_the_end(packing: str, tmp_path: Path) -> None:
    pack, file = PACKINGS[packing], tmp_path / f"c.{packing}"
    one, two = pack(b"one\n" * 2000), pack(b"two\n" * 2000)
    for damaged in (one + b"garbage", one + b"X" + two[1:], one + two[:5], one + two[:-3], one + b"\0\0\0X"):
        with pytest.raises(CorpusError, match=rf"^c\.{packing}: not a complete "):
            read(file, damaged)


def test_a_bomb_is_refused_before_its_first_line_is_given_out(packing: str, tmp_path: Path, limits: None) -> None:
    pack, line = PACKINGS[packing], b"the same line\n"
    whole = pack(line * 200_000)
    members = pack(line * 5_000) * 40
    for data in (whole, members, pack(b"x" * (1 << 21))):
        file = tmp_path / f"bomb.{packing}"
        file.write_bytes(data)
        with pytest.raises(CorpusError, match=rf"^bomb\.{packing}: unpacks to more than 20 times its size"):
            next(TextSource(str(file)).records())


def test_a_bomb_that_is_not_small_or_comes_by_a_pipe_is_refused_on_the_way(
    packing: str, tmp_path: Path, limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_SMALL", 0)
    file = tmp_path / f"bomb.{packing}"
    file.write_bytes(PACKINGS[packing](b"the same line\n" * 200_000))
    given: list[Any] = []
    with pytest.raises(CorpusError, match="unpacks to more than 20 times its size"):
        given.extend(TextSource(str(file)).records())
    assert len(given) * 14 < max(1 << 16, 20 * file.stat().st_size) + (1 << 21)  # what is read ahead included


def test_a_long_file_of_ordinary_lines_passes_though_its_first_part_swells(
    packing: str, tmp_path: Path, limits: None
) -> None:
    noise = os.urandom(30_000).hex().encode()  # packs to half its size
    data = PACKINGS[packing](b"\n" * 500_000 + b"".join(noise[i : i + 60] + b"\n" for i in range(0, len(noise), 60)))
    assert 500_000 / len(data) < 20
    assert len(read(tmp_path / f"c.{packing}", data)) == 501_000


def test_holes_at_the_end_of_a_file_allow_it_nothing(tmp_path: Path, limits: None) -> None:
    file = tmp_path / "bomb.gz"
    file.write_bytes(gzip.compress(b"the same line\n" * 200_000))
    with file.open("r+b") as grown:
        grown.truncate(1 << 30)
    if file.stat().st_blocks * 512 >= 1 << 30:
        pytest.skip("this file system has no holes")
    with pytest.raises(CorpusError, match="unpacks to more than 20 times its size"):
        for _ in TextSource(str(file)).records():
            pass


def xz_that_asks_for(dictionary: int) -> bytes:
    """Return an xz file whose header asks for the largest dictionary, 4 GiB, where 40 is given."""
    filters: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
    data = bytearray(lzma.compress(b"one\ntwo\n", filters=filters))
    # The block header behind the 12 bytes of the stream's: size, flags, filter id, size of its properties, dictionary.
    assert data[12:16] == bytes([2, 0, 0x21, 1])
    data[16] = dictionary
    data[20:24] = struct.pack("<I", zlib.crc32(data[12:20]))
    return bytes(data)


def test_an_xz_file_gets_no_more_memory_than_it_should(tmp_path: Path) -> None:
    assert read(tmp_path / "c.xz", xz_that_asks_for(28)) == ["one", "two"]  # 64 MiB, as xz -9 has
    with pytest.raises(CorpusError, match=r"^c\.xz: not a complete xz file \(Memory usage limit exceeded\)"):
        read(tmp_path / "c.xz", xz_that_asks_for(40))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_named_pipe_is_opened_once(pack: Pack, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(pack(b"one\ntwo\n")), daemon=True)
    writer.start()
    assert [text for (text,) in TextSource(str(pipe)).records()] == ["one", "two"]
    writer.join(10)
