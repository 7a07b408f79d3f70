"""The page for a person to try a model with, and what it asks for: a search of the files that the server was given."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.responses import Response

from mirrorkit.serving.answers import computed, json_response
from mirrorkit.serving.exchange import Exchange
from mirrorkit.serving.fields import optional
from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.requests import Wanted
from mirrorkit.text.strings import replace_surrogates

if TYPE_CHECKING:
    from mirrorkit.finding.index import Hit
    from mirrorkit.serving.searching import Searching, Side

PAGE = Path(__file__).with_name("page.html")
MOST = 100  # passages of an answer
SHOWN = 2000  # characters of a passage that are sent; a page has room for no more
_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_response() -> Response:
    """Return the page. It may run the script that stands in it and no other, and ask this server and no other."""
    page = PAGE.read_bytes()
    hashes = {
        kind.decode(): base64.b64encode(hashlib.sha256(content).digest()).decode()
        for kind, content in _INLINE.findall(page)
    }
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }
    return Response(page, 200, headers, "text/html")


async def search_state(exchange: Exchange) -> Response:
    """Say what is searched by what, and how far that is encoded."""
    service = exchange.service
    search = service.search
    if search is None:
        return json_response({"search": False, "model": service.models.default.id})
    return json_response(
        {
            "search": True,
            "model": search.models[-1].id,
            "before": search.models[0].id if len(search.models) > 1 else None,
            "paths": list(map(replace_surrogates, search.paths)),
            "passages": search.passages,
            "ready": bool(search.sides),
            "failed": search.failed,
            "done": search.done,
            "total": search.total,
        }
    )


async def search(exchange: Exchange) -> Response:
    """Find the passages that are most like a query, by each of the models."""
    looked_in = exchange.service.search
    if looked_in is None:
        raise RefusedError(Why.NOT_HERE, "this server searches no files: start it with --search FILE_OR_FOLDER")
    limits = exchange.service.settings.limits

    def read(body: Mapping[str, Any]) -> tuple[str, int]:
        query, count = optional(body, "query", str), optional(body, "count", int, 10)
        if query is None:
            raise RefusedError(Why.MALFORMED, "you must provide `query`", "query")
        if not query.strip():
            raise RefusedError(Why.EMPTY, "`query` must not be blank", "query")
        if len(query) > limits.max_chars:
            raise RefusedError(Why.TOO_LONG, f"`query` has more than {limits.max_chars:,} characters", "query")
        if count is None or not 1 <= count <= MOST:
            raise RefusedError(Why.INVALID, f"`count` must be from 1 to {MOST}, is {count}", "count")
        return query, count

    query, count = await exchange.json(read)
    sides = ready(looked_in)
    found = [await _found(exchange, side, query, count) for side in sides]
    return json_response(
        {"query": query, "passages": looked_in.passages, **found[-1], "before": found[0] if len(found) > 1 else None}
    )


def ready(search: Searching) -> tuple[Side, ...]:
    """Return what can be searched; raises RefusedError while it is not encoded."""
    if search.failed is not None:
        raise RefusedError(Why.BROKEN, f"what is searched could not be encoded ({search.failed})")
    if not search.sides:
        how_far = f", {search.done:,} of {search.total:,} are" if search.total else ""
        raise RefusedError(Why.UNREADY, f"the passages are not all encoded yet{how_far}", headers={"Retry-After": "1"})
    return search.sides


async def _found(exchange: Exchange, side: Side, query: str, count: int) -> dict[str, Any]:
    served = side.served
    job = await computed(exchange, Wanted(served, served.call(prompt_name="query"), [query], None, truncate=True))
    vector = job.vectors()[0]
    hits = await anyio.to_thread.run_sync(side.find, vector, count)
    return {
        "model": served.id,
        "fingerprint": served.fingerprint,
        "similarity": served.encoding.opened.usage.similarity,
        "hits": list(map(_described, hits)),
    }


def _described(hit: Hit) -> dict[str, Any]:
    return {
        "score": hit.score,
        "text": replace_surrogates(hit.text[:SHOWN]),
        "cut": len(hit.text) > SHOWN,
        "place": replace_surrogates(hit.place),
        "file": replace_surrogates(hit.file),
        "line": hit.line,
        "row": hit.row,
    }
