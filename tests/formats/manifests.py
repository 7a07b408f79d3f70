"""What a mirrorkit.json may say: one table, by which every reader of it is judged: Python, C++, JavaScript."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirrorkit.formats.bundle import MANIFEST

ONNX = "onnx/model.onnx"
DIM = 4


def plain() -> dict[str, Any]:
    """Return a manifest that holds everything there is, and is right."""
    record = {"sha256": "0" * 64, "bytes": 10}
    return {
        "schema_version": 3,
        "architecture": "bert",
        "dim": DIM,
        "max_length": 128,
        "pooling": "cls+mean",
        "normalized": True,
        "similarity": "cosine",
        "prompts": {"query": "query: ", "passage": "two\nlines"},
        "default_prompt": "passage",
        "include_prompt": True,
        "truncation_side": "right",
        "width": DIM,
        "pools_only": True,
        "pad_token_id": 0,
        "variants": {
            "fp32": {"file": ONNX, "precision": "fp32", "graph": "onnx", "data_files": ["onnx/w.data"], "report": {}},
            "static": {
                "file": ONNX,
                "precision": "static",
                "graph": "onnx",
                "data_files": [],
                "report": {},
                "dim": 2,
                "golden": "golden_static.jsonl",
                "scalar_ranges": [[-1.0, 0], [1, 0.5]],
            },
        },
        "preference": {"cpu": ["fp32"], "wasm": ["int8", "fp32"]},
        "files": {ONNX: record, "onnx/w.data": record, "tokenizer.json": record},
        "provenance": {"model": "tiny", "numbers": [0.5, -1e30, 10**30]},
        "scalar_ranges": [[-1.0] * DIM, [1] * DIM],
    }


def changed(*way: Any) -> dict[str, Any]:
    """Return the manifest with the last of `way` in the place that the rest of it leads to."""
    manifest = plain()
    inner: Any = manifest
    for key in way[:-2]:
        inner = inner[key]
    inner[way[-2]] = way[-1]
    return manifest


def without(*way: Any) -> dict[str, Any]:
    """Return the manifest without the field that `way` leads to."""
    manifest = plain()
    inner: Any = manifest
    for key in way[:-1]:
        inner = inner[key]
    del inner[way[-1]]
    return manifest


def nested(deep: int) -> Any:
    """Return lists within one another."""
    value: Any = []
    for _ in range(deep - 1):
        value = [value]
    return value


_RECORD = {"sha256": "0" * 64, "bytes": 10}
_VARIANT = plain()["variants"]["fp32"]
_FP32 = ("variants", "fp32")
_STATIC = ("variants", "static")
_OTHER_TYPES: list[Any] = [None, True, -1, 1.5, "text", [], {}, [[1]], 10**30]
_BAD_PATHS = [
    "",
    "/etc/passwd",
    "../x.onnx",
    "onnx/../x.onnx",
    "..",
    "a\\x.onnx",
    "C:x.onnx",
    "x" * 510 + ".onnx",
    "a\0.onnx",
]
# A way to a field, and the values of it that are right: everything else of `_OTHER_TYPES` is wrong.
_FIELDS: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("schema_version",), []),
    (("architecture",), ["text"]),
    (("dim",), []),
    (("max_length",), []),
    (("pooling",), []),
    (("normalized",), [True]),
    (("similarity",), []),
    (("prompts",), []),
    (("prompts", "query"), ["text"]),
    (("default_prompt",), [None]),
    (("include_prompt",), [True]),
    (("truncation_side",), []),
    (("width",), []),
    (("pools_only",), [True]),
    (("pad_token_id",), []),
    (("variants",), [{}]),
    (_FP32, []),
    ((*_FP32, "file"), []),
    ((*_FP32, "precision"), []),
    ((*_FP32, "graph"), []),
    ((*_FP32, "data_files"), [[]]),
    ((*_FP32, "report"), [{}]),
    ((*_STATIC, "dim"), []),
    ((*_STATIC, "golden"), ["text"]),
    ((*_STATIC, "scalar_ranges"), [None]),
    (("preference",), [{}]),
    (("preference", "cpu"), [[]]),
    (("files", "tokenizer.json"), []),
    (("files", ONNX, "sha256"), []),
    (("files", ONNX, "bytes"), []),
    (("provenance",), [{}]),
    (("scalar_ranges",), [None]),
    (("scalar_ranges", 0, 0), [-1]),
]
_RIGHT: dict[str, dict[str, Any]] = {
    "as it is": plain(),
    "the first schema": changed("schema_version", 1),
    "no default prompt": without("default_prompt"),
    "a usual default prompt": changed("default_prompt", "document"),
    **{f"without {key}": without(key) for key in ("prompts", "similarity", "truncation_side", "include_prompt")}
    | {"without prompts": {**without("prompts"), "default_prompt": None}},
    **{f"without {key}": without(key) for key in ("width", "pools_only", "preference", "scalar_ranges")},
    **{f"a variant without {key}": without(*_STATIC, key) for key in ("golden", "scalar_ranges")},
    "dim 65536": {**changed("dim", 1 << 16), "scalar_ranges": None},
    "max_length 1048576": changed("max_length", 1 << 20),
    "pad_token_id 2147483647": changed("pad_token_id", (1 << 31) - 1),
    "bytes 4398046511104": changed("files", ONNX, "bytes", 1 << 42),
    "a name of 64 characters": changed("architecture", "é" * 64),
    "a path of 512 characters": changed("files", "/".join(["😀" * 63] * 8) + "x", _RECORD),
    "points in a name": changed("files", "a..b/...c", _RECORD),
    "a name as of a prototype": changed("files", "__proto__", _RECORD),
    "an unknown device": changed("preference", "npu", ["fp16"]),
    "an unknown key": changed("later", {"any": [1, "thing"]}),
    "64 deep": changed("provenance", "deep", nested(62)),
    "a whole pair": changed("prompts", "query", "😀"),
    "10,000 prompts": changed("prompts", {"passage": "", **{str(i): "" for i in range(9_999)}}),
}
_WRONG: dict[str, dict[str, Any]] = {
    **{f"without {key}": without(key) for key in ("schema_version", "architecture", "dim", "max_length", "pooling")},
    **{f"without {key}": without(key) for key in ("normalized", "pad_token_id", "variants", "files", "provenance")},
    **{f"without {key} of a variant": without(*_FP32, key) for key in _VARIANT},
    **{f"without {key} of a file": without("files", ONNX, key) for key in _RECORD},
    "a later schema": changed("schema_version", 4),
    "schema 0": changed("schema_version", 0),
    "dim 0": changed("dim", 0),
    "dim 65537": {**changed("dim", (1 << 16) + 1), "scalar_ranges": None},
    "max_length 0": changed("max_length", 0),
    "max_length 1048577": changed("max_length", (1 << 20) + 1),
    "pad_token_id 2147483648": changed("pad_token_id", 1 << 31),
    "width 65537": changed("width", (1 << 16) + 1),
    "bytes 4398046511105": changed("files", ONNX, "bytes", (1 << 42) + 1),
    "a name of 65 characters": changed("architecture", "é" * 65),
    "a control character": changed("architecture", "a\x7f"),
    "a NUL": changed("architecture", "a\0b"),
    "an unknown pooling": changed("pooling", "mean+none"),
    "an empty pooling": changed("pooling", "mean+"),
    "an unknown precision": changed(*_FP32, "precision", "fp8"),
    "an unknown graph": changed(*_FP32, "graph", "pytorch"),
    "an unknown prompt": changed("default_prompt", "constructor"),
    "half a pair": changed("prompts", "query", "\ud800"),
    "half a pair as a name": changed("provenance", "\udc00", 1),
    "a prompt of 10,001 characters": changed("prompts", "query", "x" * 10_001),
    "the name of a prompt of 513 characters": changed("prompts", "x" * 513, ""),
    "10,001 prompts": changed("prompts", {"passage": "", **{str(i): "" for i in range(10_000)}}),
    "10,001 files": changed("files", plain()["files"] | {str(i): _RECORD for i in range(9_998)}),
    "10,001 variants": changed("variants", {str(i): _VARIANT for i in range(10_001)}),
    "10,001 data files": changed(*_FP32, "data_files", [ONNX] * 10_001),
    "10,001 preferences": changed("preference", "cpu", ["fp32"] * 10_001),
    "the name of a variant of 65 characters": changed("variants", "x" * 65, _VARIANT),
    "the name of a device of 65 characters": changed("preference", "x" * 65, []),
    "a preference that is no text": changed("preference", "wasm", ["fp32", 1]),
    "a pickle as a graph": {**changed(*_FP32, "file", "model.bin"), "files": {"model.bin": _RECORD}},
    "a graph that is none of its files": changed(*_FP32, "file", "other.onnx"),
    "weights that are none of its files": changed(*_FP32, "data_files", ["other.data"]),
    "a hash in capitals": changed("files", ONNX, "sha256", "A" * 64),
    "a hash with a line": changed("files", ONNX, "sha256", "0" * 64 + "\n"),
    "a hash of 63 digits": changed("files", ONNX, "sha256", "0" * 63),
    "65 deep": changed("provenance", "deep", nested(63)),
    "400 deep": changed("provenance", "deep", nested(400)),
    "ranges of a variant without its dim": without(*_STATIC, "dim"),
    "ranges of a variant that are too long": changed(*_STATIC, "scalar_ranges", [[0.0] * DIM] * 2),
    "one range": changed("scalar_ranges", [[0.0] * DIM]),
    "short ranges": changed("scalar_ranges", 1, [1.0] * (DIM - 1)),
    "ranges the wrong way": changed("scalar_ranges", 0, 2, 2.0),
    "a range of 1e30": changed("scalar_ranges", 1, 0, 1e30),
    **{f"a file {path[:20]!r}": changed("files", path, _RECORD) for path in _BAD_PATHS},
    **{f"golden texts in {path[:20]!r}": changed(*_STATIC, "golden", path) for path in _BAD_PATHS},
    **{f"data in {path[:20]!r}": changed(*_FP32, "data_files", [path]) for path in _BAD_PATHS},
}
_TEXT = json.dumps(plain())
_RAW: dict[str, tuple[bytes, bool]] = {
    "spaces around": (f" \n{_TEXT}\n\n".encode(), True),
    "a key twice": (_TEXT.replace('"dim": 4', '"dim": "no", "dim": 4').encode(), True),
    "an escaped pair": (_TEXT.replace("query: ", "\\ud83d\\ude00").encode(), True),
    "a backslash before ud800": (_TEXT.replace("query: ", "\\\\ud800").encode(), True),
    "nothing": (b"", False),
    "a byte order mark": (b"\xef\xbb\xbf" + _TEXT.encode(), False),
    "UTF-16": (_TEXT.encode("utf-16"), False),
    "Latin-1": (_TEXT.replace("query: ", "é").encode("latin-1"), False),
    "a zero behind it": (_TEXT.encode() + b"\0", False),
    "something behind it": (_TEXT.encode() + b"{}", False),
    "cut": (_TEXT.encode()[:-1], False),
    "a comma too many": (_TEXT[:-1].encode() + b",}", False),
    "a comment": (_TEXT.encode() + b"// no", False),
    "NaN": (_TEXT.replace("0.5", "NaN").encode(), False),
    "infinity": (_TEXT.replace("0.5", "-Infinity").encode(), False),
    "1e999": (_TEXT.replace("0.5", "1e999").encode(), False),
    "a number of 5,000 digits": (_TEXT.replace("0.5", "9" * 5000).encode(), False),
    "a list": (f"[{_TEXT}]".encode(), False),
    "null": (b"null", False),
    "a text": (b'"mirrorkit"', False),
    "brackets": (b"[" * 100_000, False),
    "braces": (b'{"a":' * 100_000, False),
    "brackets that are closed": (_TEXT.replace("0.5", "[" * 100_000 + "]" * 100_000).encode(), False),
}


def cases() -> dict[str, tuple[bytes, bool]]:
    """Return by name the bytes of a manifest, and whether it may be read."""
    found = {name: (json.dumps(value).encode(), True) for name, value in _RIGHT.items()}
    found |= {f"not {name}": (json.dumps(value).encode(), False) for name, value in _WRONG.items()}
    for way, right in _FIELDS:
        for value in _OTHER_TYPES:
            fits = any(type(one) is type(value) and one == value for one in right)
            name = f"{'.'.join(map(str, way))} is {value!r}"
            found[name] = json.dumps(changed(*way, value)).encode(), fits
    return found | _RAW


def write_cases(folder: Path) -> dict[str, bool]:
    """Write each manifest into a folder of its own, called by a number; returns by path whether it may be read."""
    verdicts = {}
    for number, (content, fits) in enumerate(cases().values()):
        place = folder / str(number)
        place.mkdir()
        (place / MANIFEST).write_bytes(content)
        verdicts[str(place)] = fits
    return verdicts


def judged(verdicts: dict[str, bool], said: Callable[[str], str]) -> list[str]:
    """Return where a reader differs: `said` gives its error for a folder, nothing where it read the manifest."""
    names = list(cases())
    told = {place: said(place) for place in verdicts}
    return [
        f"{names[number]}: {told[place] or 'was read'}"
        for number, (place, fits) in enumerate(verdicts.items())
        if fits is bool(told[place]) or "\n" in told[place]
    ]
