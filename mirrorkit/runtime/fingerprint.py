"""Which model made a vector: a fingerprint of all that decides it, and texts whose vectors tell models apart."""

from __future__ import annotations

import hashlib
import json
from string import hexdigits

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.files import sha256_of
from mirrorkit.runtime.opening import Opened

_SHORTEST = 8  # characters of a fingerprint that tell it from others
# Short and long, plain and awkward, in several scripts: what one vocabulary does not know another one may.
CANARIES = (
    "encoder",
    "A cat sits on the mat.",
    "How do I reset my password when I no longer have access to my e-mail address?",
    "Der Zug nach Köln hat heute zwanzig Minuten Verspätung.",
    "数据库连接在三十秒后超时。",
    "for (int i = 0; i < n; ++i) sum += values[i];",
    "3.14159 and 2,000 kg at -40 °C",
    "The committee met on Tuesday to discuss the budget of the next year. It decided that the library would stay open "
    "on Sundays, that the bridge would be repaired before winter, and that the question of the new school would be put "
    "to the citizens in spring, when the figures of the survey are known.",
)


def fingerprint_of(opened: Opened, *, windows: bool = False) -> str:
    """Return the hex SHA-256 of all that decides an encoder's vectors but the options of a call and the machine.

    That is the bytes of graph, weights and tokenizer, what runs them, where a text is cut or that it is read in
    windows, and what follows.
    """
    decisive = {
        "variant": opened.variant,  # one graph may be run in several precisions
        "files": [opened.hashes.get(file) or sha256_of(file) for file in opened.files],
        "max_length": opened.max_length,
        "pad_id": opened.pad_id,
        "truncation_side": opened.usage.truncation_side,
        "include_prompt": opened.usage.include_prompt,
        "pooling": opened.pooling,
        "unit_length": opened.unit_length,
        "truncate_dim": opened.truncate_dim,
    }
    if windows:
        decisive["long"] = "windows"
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def check_expected(expected: str, found: str, what: str) -> None:
    """Raise BundleError where the fingerprint `found`, of `what`, does not begin with `expected`."""
    if len(expected) < _SHORTEST or set(expected) - set(hexdigits):
        raise ConfigError(f"expect {expected!r}: must be at least {_SHORTEST} hex digits of a fingerprint")
    if not found.startswith(expected.lower()):
        raise BundleError(
            f"{what} has the fingerprint {found[: len(expected)]}, expected {expected}; vectors of the two must not be "
            "mixed"
        )
