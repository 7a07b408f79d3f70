"""Write `mirrorkit.json`: what `bundle` reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mirrorkit.formats.bundle import MANIFEST, SCHEMA_VERSION, Bundle, FileRecord
from mirrorkit.formats.files import sha256_of

_NUMBERS = re.compile(r"(?<=[\d\[,])\n +(?=[-\d\]])")  # between those of a list, which need no line each


def write_manifest(bundle: Bundle) -> None:
    """Write `mirrorkit.json` into the bundle's folder."""
    value = {
        "schema_version": 1 if bundle.usage.plain else SCHEMA_VERSION,  # readers of 1 get others wrong, and refuse them
        "architecture": bundle.architecture,
        "dim": bundle.dim,
        "max_length": bundle.max_length,
        "pooling": str(bundle.pooling),
        **bundle.usage.as_dict(),
        "width": bundle.token_dim,
        "pools_only": bundle.pools_only,
        "pad_token_id": bundle.pad_token_id,
        "variants": {
            v.name: {
                "file": v.file,
                "precision": str(v.precision),
                "graph": str(v.graph),
                "data_files": list(v.data_files),
                "report": dict(v.report),
            }
            for v in bundle.variants.values()
        },
        "preference": {device: [v.name for v in bundle.preferred(device)] for device in bundle.preference},
        "files": {name: {"sha256": r.sha256, "bytes": r.bytes} for name, r in sorted(bundle.files.items())},
        "provenance": dict(bundle.provenance),
        "scalar_ranges": bundle.scalar_ranges,
    }
    text = _NUMBERS.sub(" ", json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    (bundle.folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Return the record of every file under `folder` but mirrorkit.json."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    names = ((file.relative_to(folder).as_posix(), file) for file in files)
    return {name: FileRecord(sha256_of(file), file.stat().st_size) for name, file in names if name != MANIFEST}
