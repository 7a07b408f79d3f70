"""What made a file of vectors, written with it: inside a parquet file, in a small file beside any other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirrorkit.errors import BundleError, CorpusError, OutputError
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.json_file import object_or_empty
from mirrorkit.formats.vectors_record import KIND, Canary, VectorsRecord, beside
from mirrorkit.machine.facts import versions
from mirrorkit.publish import check_file_target, publish_file
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.fingerprint import CANARIES


def record_of(
    encoder: Encoder, *, prompt: str, normalize: bool | None, truncate_dim: int | None, output_type: str
) -> VectorsRecord:
    """Return what decides the vectors that `encoder` makes with these options, and the vectors of a few texts."""
    options: dict[str, Any] = {"prompt": prompt, "normalize": normalize, "truncate_dim": truncate_dim}
    return VectorsRecord(
        fingerprint=encoder.fingerprint,
        variant=encoder.variant,
        max_length=encoder.max_length,
        similarity=encoder.usage.similarity,
        prompt=prompt,
        normalize=normalize,
        truncate_dim=truncate_dim,
        output_type=output_type,
        versions=versions("mirrorkit", "onnxruntime", "tokenizers", "numpy"),
        canaries=tuple(_canaries(encoder, options)),
        long=encoder.long,
    )


def _canaries(encoder: Encoder, options: dict[str, Any]) -> Iterator[Canary]:
    for text in CANARIES:
        try:
            (vector,) = encoder.encode([text], **options)
        except (BundleError, CorpusError):  # NaN, or too long: none of the user's texts may be like this one
            continue
        yield Canary(text, tuple(float(f"{number:.9g}") for number in vector.tolist()))


def check_beside(out: Path) -> None:
    """Raise OutputError where something else lies in the place of the record beside `out`."""
    file = beside(out)
    check_file_target(file, overwrite=True)
    if file.exists() and object_or_empty(file).get("kind") != KIND:
        raise OutputError(f"{file}: was not written by mirrorkit, so it is not overwritten; give another file")


def write_beside(out: Path, record: VectorsRecord) -> None:
    """Write the record beside `out`, which it names by its hash: beside other vectors it is known to be stale."""
    with publish_file(beside(out), overwrite=True) as file:
        file.write(replace(record, sha256=sha256_of(out)).text().encode())
