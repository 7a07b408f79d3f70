"""README.md of a bundle with an adapter at the end of its graphs."""

from __future__ import annotations

from collections.abc import Mapping

from mirrorkit.exporter.card import bundle_card
from mirrorkit.exporter.provenance import CalibrationRecord, ExportOptions, Provenance
from mirrorkit.formats.adapter import Adapter
from mirrorkit.formats.bundle import GOLDEN, Bundle
from mirrorkit.formats.card import carried
from mirrorkit.model.outside import Outside


def adapted_card(bundle: Bundle, name: str, old: Bundle, adapter: Adapter, sizes: Mapping[str, int]) -> str:
    """Return the card of `bundle`, which was made of `old`. `sizes` are bytes by file."""
    told = old.provenance.get("model")
    model = told if isinstance(told, str) and told else old.folder.name
    golden = old.files[GOLDEN]
    about = Provenance(
        model=model,
        calibration=CalibrationRecord(f"{GOLDEN} of {old.folder.name}", golden.sha256, 0),
        options=ExportOptions(tuple(bundle.variants), 0, optimize=False),
        versions={},
        training={},
        outside=Outside(False, "an adapter stands behind the model"),
        card=carried(old.folder, model),
    )
    return "\n".join([bundle_card(bundle, name, about, sizes).rstrip("\n"), "", *_adapter(adapter)])


def _adapter(adapter: Adapter) -> list[str]:
    record = adapter.record
    found = record.recall_at_10
    before = "" if found.before is None else f"{100 * found.before:.1f} % as they were, "
    return [
        "## Adapter",
        "",
        f"At the end of each graph a map ({record.map}, rank {record.rank}) brings the vectors into the space of an "
        f"older encoder ({record.old.fingerprint[:12]}, {record.old.variant}), so that what that one has encoded can "
        f"be searched with them. It was fitted to those of {record.new.variant} ({record.new.fingerprint[:12]}). "
        f"Recall of the ten best among {found.texts:,} old vectors, over {found.queries:,} queries of its own: "
        f"{before}{100 * found.after:.1f} % adapted; the older encoder's own queries find {100 * found.old:.1f} %. The "
        "figures above compare with the map of the original's vectors, not with the older encoder.",
        "",
    ]
