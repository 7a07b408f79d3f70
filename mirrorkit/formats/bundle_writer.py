"""Write `mirrorkit.json`: what `bundle` reads."""

from __future__ import annotations

import json
import re
from typing import Any

from mirrorkit.formats.bundle import MANIFEST, SCHEMA_VERSION, Bundle, Variant

_NUMBERS = re.compile(r"(?<=[\d\[,])\n +(?=[-\d\]])")  # between those of a list, which need no line each


def write_manifest(bundle: Bundle) -> None:
    """Write `mirrorkit.json` into the bundle's folder."""
    (bundle.folder / MANIFEST).write_text(manifest_text(bundle), encoding="utf-8")


def manifest_text(bundle: Bundle) -> str:
    """Return what `mirrorkit.json` is to hold."""
    value = {
        "schema_version": _schema(bundle),
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
                **_of_its_own(v),
            }
            for v in bundle.variants.values()
        },
        "preference": {device: [v.name for v in bundle.preferred(device)] for device in bundle.preference},
        "files": {name: {"sha256": r.sha256, "bytes": r.bytes} for name, r in sorted(bundle.files.items())},
        "provenance": dict(bundle.provenance),
        "scalar_ranges": bundle.scalar_ranges,
        **({"truncate_dims": bundle.truncate_dims} if bundle.truncate_dims else {}),
    }
    return _NUMBERS.sub(" ", json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _schema(bundle: Bundle) -> int:
    """Return the lowest schema whose readers get everything right: older ones get the others wrong, and refuse them."""
    if any(variant.dim for variant in bundle.variants.values()):
        return SCHEMA_VERSION
    return 1 if bundle.usage.plain else 2


def _of_its_own(variant: Variant) -> dict[str, Any]:
    """Return what is said of a variant only where it has other vectors than the bundle's."""
    if not variant.dim:
        return {}
    return {"dim": variant.dim, "golden": variant.golden, "scalar_ranges": variant.scalar_ranges}
