"""Spoil files the way damage, mistakes and malice do: by type, size, depth, encoding, path and link. All by a seed."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECRET = "secret"  # a file beside the folder that nothing may open


def values() -> list[Any]:
    """Return what no field expects."""
    scalars: list[Any] = [
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        3.5,
        -5,
        1e308,
        float("nan"),
        float("inf"),
        2**31,
        2**63,
        10**30,
    ]
    strings = ["", " ", "x" * 5000, "a\0b", "\ud800", "\u202e", "é" * 300, "\n", "-1", "auto", "__class__", "{0}", "%s"]
    paths = [
        f"../{SECRET}",
        f"../../{SECRET}",
        "/etc/passwd",
        "/dev/zero",
        ".",
        "..",
        "./../x",
        "~",
        "C:\\x",
        "a/" * 300,
    ]
    code = ["evil.Evil", "someone/repo--evil.Evil", "os.system"]
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    wide = [list(range(20_000)), {str(i): i for i in range(20_000)}, [[1]], {}, [], [None], {"": ""}, deep]
    return [*scalars, *strings, *paths, *code, *wide]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every field of a JSON value."""
    if isinstance(value, dict):
        children: Any = list(value.items())[:200]
    elif isinstance(value, list):
        children = list(enumerate(value))[:20]
    else:
        children = []
    for key, child in children:
        yield (*path, key)
        if len(path) < 6:
            yield from places(child, (*path, key))


def field(file: Path, rng: random.Random) -> str:
    """Replace, remove or add one field of a JSON file."""
    value = json.loads(file.read_text(encoding="utf-8"))
    ways = list(places(value))
    if not ways:
        return raw(file, rng)
    way = rng.choice(ways)
    inner = value
    for key in way[:-1]:
        inner = inner[key]
    how = rng.random()
    if how < 0.1:
        del inner[way[-1]]
        what = "removed"
    elif how < 0.2 and isinstance(inner, dict):
        extra = rng.choice(
            ["auto_map", "custom_pipelines", "attn_implementation", "quantization_config", "x" * 3000, ""]
        )
        inner[extra] = rng.choice(values())
        what = f"with {extra[:20]}"
    else:
        inner[way[-1]] = chosen = rng.choice(values())
        what = repr(chosen)[:40]
    file.write_text(json.dumps(value), encoding="utf-8")
    return f"{file.name}: {'.'.join(map(str, way))[:60]} {what}"


def raw(file: Path, rng: random.Random) -> str:
    """Spoil the bytes of a file."""
    old = file.read_bytes()
    at = rng.randrange(len(old) + 1)
    ways: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "cut": lambda: old[:at],
        "one bit": lambda: old[:at] + bytes([rng.randrange(256)]) + old[at + 1 :],
        "noise": lambda: rng.randbytes(300),
        "zeros": lambda: bytes(300),
        "brackets": lambda: b"[" * 200_000,
        "braces": lambda: b'{"a":' * 100_000,
        "a long number": lambda: b"9" * 100_000,
        "UTF-16": lambda: old.decode("utf-8", "replace").encode("utf-16"),
        "a mark": lambda: b"\xef\xbb\xbf" + old,
        "Latin-1": lambda: old[:at] + b"\xe9" + old[at:],
        "twice": lambda: old + old,
        "a NUL": lambda: old[:at] + b"\0" + old[at:],
        "a text": lambda: b'"a text"',
        "null": lambda: b"null",
        "NaN": lambda: b"NaN",
    }
    name = rng.choice(list(ways))
    file.write_bytes(ways[name]())
    return f"{file.name}: {name}"


def entry(file: Path, rng: random.Random) -> str:
    """Put something else in a file's place."""
    outside = file.parents[1] / SECRET
    ways: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "a folder": file.mkdir,
        "a link out": lambda: file.symlink_to(outside),
        "a link to itself": lambda: file.symlink_to(file.name),
        "a link to nowhere": lambda: file.symlink_to("nowhere"),
        "a pipe": lambda: os.mkfifo(file),
        "a device": lambda: file.symlink_to("/dev/zero"),
    }
    name = rng.choice(list(ways))
    file.unlink()
    ways[name]()
    return f"{file.name}: {name}"


def spoil(folder: Path, rng: random.Random) -> str:
    """Spoil one file of a folder, now and then two; returns what was done."""
    done = []
    for _ in range(1 if rng.random() < 0.8 else 2):
        files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        if not files:
            break
        file = rng.choice(files)
        how = rng.random()
        try:
            if file.suffix == ".json" and how < 0.75:
                done.append(field(file, rng))
            elif how < 0.9:
                done.append(raw(file, rng))
            else:
                done.append(entry(file, rng))
        except (ValueError, RecursionError):  # spoilt already
            done.append(raw(file, rng))
    return "; ".join(done)


def corpus(folder: Path, rng: random.Random) -> tuple[Path, str]:
    """Write a file of texts of some kind, spoilt."""
    kinds: dict[str, bytes] = {
        "texts.txt": b"one\ntwo words\n\nfour\n",
        "texts.csv": b'text,other\n"one, quoted",1\ntwo,2\n',
        "texts.tsv": b"text\tother\none\t1\ntwo\t2\n",
        "texts.jsonl": b'{"text": "one"}\n{"text": "two"}\n',
    }
    name = rng.choice(list(kinds))
    body = kinds[name]
    extra = [
        b"",
        b"\0",
        b"\xff\xfe",
        b"\xe9",
        b"x" * (2 << 20),
        b'"' + b"y" * 100_000,
        b'"never closed\n',
        b"[" * 100_000,
        b'{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"text": "\\ud800"}\n',
        b'{"text": 1e999}\n',
        b'{"text": ' + b"9" * 50_000 + b"}\n",
        b"\r\r\r\n",
        "\u2028\u202e\U0010ffff\n".encode(),
        b"word " * 100_000 + b"\n",
        b"\x1f\x8b\x08\x00",
    ]
    piece = rng.choice(extra)
    at = rng.choice([0, len(body), rng.randrange(len(body))])
    body = body[:at] + piece + body[at:]
    file = folder / name
    if rng.random() < 0.25:
        import gzip

        packed = gzip.compress(body)
        cut = rng.choice([len(packed), rng.randrange(len(packed)), 4])
        file, body = folder / f"{name}.gz", packed[:cut]
    file.write_bytes(body)
    return file, f"{file.name}: {piece[:30]!r} ({len(piece)}) at {at}"


def copied(source: Path, place: Path) -> Path:
    """Return a copy of a folder in a place of its own, with a file beside it that nothing may open."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / SECRET).write_text('{"secret": 1}', encoding="utf-8")
    return Path(shutil.copytree(source, place / source.name))
