"""A bundle as tools of the Model Context Protocol, over standard input and output: `embed`, `similar`, `search`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirrorkit import __version__
from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.finding.search import TextSearch
from mirrorkit.runtime.encoder import Encoder


def serve_tools(bundles: Sequence[str], paths: Sequence[str], variant: str, threads: int | None) -> None:
    """Answer one client until it closes standard input; raises what an Encoder and a TextSearch raise."""
    if len(bundles) != 1:
        raise ConfigError("`mcp`: is for one bundle; give no other")
    server: Any = require("mcp.server.mcpserver", extra="mcp").MCPServer(
        "mirrorkit", version=__version__, log_level="ERROR"
    )
    encoder = Encoder(bundles[0], variant, threads=threads)
    searches = [TextSearch(bundles[0], path, variant=variant, threads=threads) for path in paths]

    def embed(texts: list[str], prompt_name: str | None = None) -> list[list[float]]:
        """Return a vector for each text; `prompt_name` is query or document, or another prompt of the model."""
        vectors: list[list[float]] = encoder.encode(texts, prompt_name=prompt_name).tolist()
        return vectors

    def similar(text: str, others: list[str]) -> list[dict[str, Any]]:
        """Rank other texts by how alike they are in meaning to one text, the most alike first."""
        scores = encoder.similarity(encoder.encode([text]), encoder.encode(others))[0].tolist()
        ranked = sorted(zip(scores, others, strict=True), key=lambda pair: -pair[0])
        return [{"score": score, "text": other} for score, other in ranked]

    def search(query: str, count: int = 10) -> list[dict[str, Any]]:
        """Find the passages of the user's files that are most like a query in meaning: score, text, file and line."""
        hits = [hit for one in searches for hit in one.find(query, count)]
        return [hit.as_dict() for hit in sorted(hits, key=lambda hit: -hit.score)[:count]]

    for tool in (embed, similar, *([search] if searches else [])):
        server.tool()(tool)
    server.run()
