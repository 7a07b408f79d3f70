"""Build a SentencePiece `precompiled_charsmap`: a double-array trie from byte strings to their replacements."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

BLOCK = 256  # a node's children lie in one block, each at the position of its byte


@dataclass
class _Node:
    children: dict[int, _Node] = field(default_factory=dict)
    value: int | None = None  # where the replacement begins in the text after the trie


def charsmap(replacements: Mapping[bytes, str]) -> bytes:
    """Return the bytes of a charsmap that replaces each key; keys must not hold a zero byte."""
    root, text = _Node(), bytearray()
    for key, replacement in replacements.items():
        node = root
        for byte in key:
            node = node.children.setdefault(byte, _Node())
        node.value = len(text)
        text += replacement.encode() + b"\0"
    units = _place(root)
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + bytes(text)


def _place(root: _Node) -> list[int]:
    units = [0] * (2 * BLOCK)
    units[0] = BLOCK << 10  # the root: its children begin at the second block
    pending = [(root, BLOCK)]
    while pending:
        node, base = pending.pop()
        for byte, child in node.children.items():
            place = len(units)  # a leaf takes one unit, a node with children a block of its own
            if child.children:
                place = -(-place // BLOCK) * BLOCK
                pending.append((child, place))
                units += [0] * (place + BLOCK - len(units))
            else:
                units.append(0)
            if child.value is not None:
                units[place] = 1 << 31 | child.value
            offset = (base + byte) ^ place
            if offset >= 1 << 21:
                raise ValueError(f"{len(units)} units: too many for a double array of this simple layout")
            units[base + byte] = offset << 10 | (child.value is not None) << 8 | byte
    return units + [0] * (-len(units) % BLOCK)  # a reader looks anywhere in the block of a leaf for its next byte
