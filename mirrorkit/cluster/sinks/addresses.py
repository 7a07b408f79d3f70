"""Which store an address means."""

from __future__ import annotations

from mirrorkit.cluster.sinks.faiss_file import FaissFile
from mirrorkit.cluster.sinks.lance import Lance
from mirrorkit.cluster.sinks.postgres import Postgres
from mirrorkit.cluster.sinks.qdrant import Qdrant
from mirrorkit.cluster.sinks.sink import Sink
from mirrorkit.errors import ConfigError

_KNOWN = "lancedb://PATH/TABLE, faiss:FILE, qdrant:PATH-or-URL#COLLECTION or postgresql://…#TABLE"


def sink_of(to: str) -> Sink:
    """Return the store of an address. Raises ConfigError where there is none, MissingExtraError without its library."""
    scheme, colon, rest = to.partition(":")
    if colon and rest:
        if scheme == "lancedb" and rest.startswith("//"):
            return Lance(rest[2:])
        if scheme == "faiss":
            return FaissFile(rest)
        if scheme == "qdrant":
            return Qdrant(rest)
        if scheme in ("postgresql", "postgres"):
            return Postgres(to)
    named = f"{scheme}:…" if colon else to  # the rest may be a password
    raise ConfigError(f"to {named!r}: must be {_KNOWN}")
