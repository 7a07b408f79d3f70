"""Packed bundles for tests: one whose weights lie in a file of their own, and every way to spoil the bytes of one."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from mirrorkit.formats.bundle import MANIFEST, record_files

COMMENT = 90  # bytes that every packed bundle ends with
END = COMMENT + 22


def with_shared_weights(folder: Path) -> None:
    """Give a bundle of the variant fp32 another one, fp32-fused, whose weights are in the file of the first.

    So it is in bundles as they are exported: the graph names places in the other one's file.
    """
    import onnx

    plain = folder / "onnx" / "model.onnx"
    whole = plain.read_bytes()
    model = onnx.load(plain)
    for tensor in model.graph.initializer:
        if not tensor.raw_data or whole.count(tensor.raw_data) != 1 or len(tensor.raw_data) < 64:
            continue
        place, length = whole.index(tensor.raw_data), len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", plain.name), ("offset", place), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
    assert any(tensor.external_data for tensor in model.graph.initializer)
    fused = folder / "onnx" / "model_fused.onnx"
    fused.write_bytes(model.SerializeToString())
    manifest = folder / MANIFEST
    value = json.loads(manifest.read_text(encoding="utf-8"))
    other = {**value["variants"]["fp32"], "file": "onnx/model_fused.onnx", "data_files": ["onnx/model.onnx"]}
    value["variants"]["fp32-fused"] = other
    value["files"] = {name: asdict(record) for name, record in record_files(folder).items()}
    value.pop("preference", None)
    manifest.write_text(json.dumps(value), encoding="utf-8")


def archive(members: Sequence[tuple[bytes, bytes]], digest: bytes | None = None) -> bytes:
    """Return an archive as `mirrorkit pack` writes it, of members that it never would: any name, twice."""
    body, entries = b"", b""
    for name, data in members:
        place = len(body)
        body += struct.pack("<4s5H3I2H", b"PK\x03\x04", 45, 2048, 0, 0, 33, 0, len(data), len(data), len(name), 0)
        body += name + data
        fields = (45, 45, 2048, 0, 0, 33, 0, len(data), len(data), len(name), 0, 0, 0, 0, 0, place)
        entries += struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields) + name
    manifest = next((data for name, data in members if name == MANIFEST.encode()), b"")
    told = digest or hashlib.sha256(manifest).hexdigest().encode()
    end = (0, 0, len(members), len(members), len(entries), len(body), COMMENT)
    return body + entries + struct.pack("<4s4H2IH", b"PK\x05\x06", *end) + b"mirrorkit bundle 1 sha256 " + told


def _changed(whole: bytes, at: int, new: bytes) -> bytes:
    at = at if at >= 0 else len(whole) + at
    return whole[:at] + new + whole[at + len(new) :]


def _list(whole: bytes) -> int:
    """Return where the list of members begins."""
    return int(struct.unpack_from("<I", whole, len(whole) - END + 16)[0])


def _field(whole: bytes, place: int, new: bytes, *, entry: int = 0) -> bytes:
    """Return the archive with another value in an entry of its list."""
    at = _list(whole)
    for _ in range(entry):
        sizes = struct.unpack_from("<3H", whole, at + 28)
        at += 46 + sum(sizes)
    return _changed(whole, at + place, new)


def _named(name: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: archive([(b"mirrorkit.json", b"{}"), (name, b"text")])


# Each makes of a packed bundle one that nobody may open.
SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "a text": lambda whole: b"hello" * 100,
    "cut at its beginning": lambda whole: whole[1:],
    "cut to a half": lambda whole: whole[: len(whole) // 2],
    "cut by a byte": lambda whole: whole[:-1],
    "longer by a byte": lambda whole: whole + b"\0",
    "the beginning alone": lambda whole: whole[:100],
    "the end alone": lambda whole: whole[-END:],
    "a manifest that was changed": lambda whole: whole.replace(b'"dim"', b'"din"', 1),
    "another digest": lambda whole: _changed(whole, -64, b"0" * 64),
    "another version": lambda whole: whole.replace(b"mirrorkit bundle 1 ", b"mirrorkit bundle 2 "),
    "no members": lambda whole: archive([]),
    "no manifest": lambda whole: archive([(b"mirrorkit.jsonl", b"{}")]),
    "65,000 members": lambda whole: _changed(whole, -END + 10, struct.pack("<H", 65_000)),
    "all members but one": lambda whole: _changed(
        whole, -END + 10, struct.pack("<H", struct.unpack_from("<H", whole, len(whole) - END + 10)[0] - 1)
    ),
    "a list that begins beyond the end": lambda whole: _changed(whole, -END + 16, struct.pack("<I", len(whole))),
    "a list that begins elsewhere": lambda whole: _changed(whole, -END + 16, struct.pack("<I", 4)),
    "64 bits that are not there": lambda whole: _changed(whole, -END + 16, b"\xff" * 4),
    "a compressed member": lambda whole: _field(whole, 10, b"\x08", entry=1),
    "an encrypted member": lambda whole: _field(whole, 8, b"\x01", entry=1),
    "a member larger than the file": lambda whole: _field(whole, 20, struct.pack("<2I", 1 << 31, 1 << 31), entry=1),
    "a member of another packed size": lambda whole: _field(whole, 20, struct.pack("<I", 1), entry=1),
    "a member of 64 bits that are not there": lambda whole: _field(whole, 20, b"\xff" * 8, entry=1),
    "a member beyond the end": lambda whole: _field(whole, 42, struct.pack("<I", len(whole)), entry=1),
    "members that overlap": lambda whole: _field(whole, 42, struct.pack("<I", 0), entry=1),
    "a member of another name": lambda whole: _field(whole, 46, b"X", entry=1),
    "a name longer than the list": lambda whole: _field(whole, 28, b"\xff\xff", entry=1),
    "the same name twice": lambda whole: archive([(b"mirrorkit.json", b"{}"), (b"a", b"1"), (b"a", b"2")]),
    "the manifest twice": lambda whole: archive([(b"mirrorkit.json", b"{}"), (b"mirrorkit.json", b"{}")]),
    "a file in a file": lambda whole: archive([(b"mirrorkit.json", b"{}"), (b"a", b"1"), (b"a/b", b"2")]),
    "a name that leads up": _named(b"../a"),
    "a name that leads up within": _named(b"a/../../b"),
    "an absolute name": _named(b"/etc/passwd"),
    "a drive": _named(b"C:evil"),
    "backslashes": _named(b"..\\evil"),
    "a name of nothing": _named(b""),
    "a folder": _named(b"folder/"),
    "a dot": _named(b"a/./b"),
    "a zero byte": _named(b"a\0b"),
    "a line end": _named(b"a\nb"),
    "a name that is not UTF-8": _named(b"\xff\xfe"),
    "a long name": _named(b"a" * 600),
}
