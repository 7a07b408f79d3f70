"""mirrorkit.h by ctypes: as much of it as tokenizing and encoding take."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_size_t, c_void_p

from mirrorkit_native import places


class _Params(ctypes.Structure):
    """The beginning of mirrorkit_params, which says how much of it there is; the rest is as the library has it."""

    _fields_ = (
        ("size", c_size_t),
        ("variant", c_char_p),
        ("onnxruntime", c_char_p),
        ("batch_tokens", c_size_t),
        ("threads", c_int32),
        ("low_memory", c_int32),
        ("unverified", c_int32),
        ("tokenizer_only", c_int32),
    )


class NativeError(RuntimeError):
    """What libmirrorkit says is wrong."""


def _open() -> ctypes.CDLL:
    library = ctypes.CDLL(str(places.library()))
    texts = [c_void_p, POINTER(c_char_p), POINTER(c_size_t), c_size_t]
    for name, result, arguments in (
        ("version", c_char_p, []),
        ("last_error", c_char_p, []),
        ("create", c_int, [c_char_p, POINTER(_Params), POINTER(c_void_p)]),
        ("free", None, [c_void_p]),
        ("dim", c_int32, [c_void_p]),
        ("max_length", c_int32, [c_void_p]),
        ("variant", c_char_p, [c_void_p]),
        ("encode", c_int, [*texts, POINTER(c_float), c_size_t]),
        ("token_ids", c_int, [c_void_p, c_void_p, c_char_p, c_size_t, POINTER(c_int32), c_size_t, POINTER(c_size_t)]),
    ):
        function = getattr(library, f"mirrorkit_{name}")
        function.restype, function.argtypes = result, arguments
    return library


_library = _open()
_MOST_THREADS = 1024  # a greater number would be cut to 32 bits on its way


def version() -> str:
    """Return the release of libmirrorkit."""
    return _text(_library.mirrorkit_version())


class Encoder:
    """A bundle, opened. Any number of threads may use one; calls run outside of Python's lock.

    `onnxruntime` is the path of its shared library: by default that of the installed onnxruntime package, then the one
    that mirrorkit.h says. With `tokenizer_only` none is needed, and `encode` fails.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        variant: str = "auto",
        *,
        onnxruntime: str | os.PathLike[str] | None = None,
        threads: int = 0,
        tokenizer_only: bool = False,
    ) -> None:
        params = _Params(size=ctypes.sizeof(_Params))
        params.variant = _name(variant, "variant")
        chosen = None if tokenizer_only else onnxruntime or places.onnxruntime()
        params.onnxruntime = None if chosen is None else _name(os.fspath(chosen), "onnxruntime")
        if not -1 < threads <= _MOST_THREADS:
            raise NativeError(f"threads {threads}: must be from 0 to {_MOST_THREADS}")
        params.threads, params.tokenizer_only = threads, tokenizer_only
        self._handle = c_void_p()
        _check(_library.mirrorkit_create(_name(os.fspath(folder), "folder"), params, ctypes.byref(self._handle)))
        weakref.finalize(self, _library.mirrorkit_free, self._handle)

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return int(_library.mirrorkit_dim(self._handle))

    @property
    def max_length(self) -> int:
        """Tokens that the model takes of a text, special ones included."""
        return int(_library.mirrorkit_max_length(self._handle))

    @property
    def variant(self) -> str:
        """The variant that was chosen."""
        return _text(_library.mirrorkit_variant(self._handle))

    def token_ids(self, text: str) -> list[int]:
        """Return what the model gets for a text, the default prompt and special tokens included."""
        raw, count = _bytes(text, "text"), c_size_t()
        ids = (c_int32 * self.max_length)()
        _check(_library.mirrorkit_token_ids(self._handle, None, raw, len(raw), ids, len(ids), ctypes.byref(count)))
        return ids[: count.value]

    def encode(self, texts: Sequence[str]) -> memoryview[float]:
        """Return a vector for each text: float32 of shape [len(texts), dim], which `numpy.asarray` takes as it is.

        Of no texts at all it is empty, of shape [0].
        """
        if isinstance(texts, str):
            raise NativeError("texts: one string; put it into a list")
        raw = [_bytes(text, f"texts[{i}]") for i, text in enumerate(texts)]
        lengths = (c_size_t * len(raw))(*map(len, raw))
        vectors = (c_float * (len(raw) * self.dim))()
        pointers = (c_char_p * len(raw))(*raw)
        _check(_library.mirrorkit_encode(self._handle, pointers, lengths, len(raw), vectors, len(vectors)))
        if not raw:
            return memoryview(b"").cast("f")
        return memoryview(vectors).cast("B").cast("f", (len(raw), self.dim))


def _bytes(value: str, name: str) -> bytes:
    if not isinstance(value, str):
        raise NativeError(f"{name}: must be a string, is {type(value).__name__}")
    try:
        return value.encode()
    except UnicodeEncodeError as err:
        raise NativeError(f"{name}: cannot be written in UTF-8: {err.reason}") from err


def _name(value: str, name: str) -> bytes:
    if "\0" in value:
        raise NativeError(f"{name}: has a zero character in it")
    return _bytes(value, name)


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _check(status: int) -> None:
    if status != 0:
        raise NativeError(_text(_library.mirrorkit_last_error()))
