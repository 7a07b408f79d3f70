"""The paths of a server, as an ASGI application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mirrorkit import __version__
from mirrorkit.serving.answers import json_response, openai_answer, tei_answer
from mirrorkit.serving.exchange import Endpoint, Exchange
from mirrorkit.serving.fields import optional, texts_or_ids
from mirrorkit.serving.page import page_response, ready, search, search_state
from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.requests import openai_request, tei_request
from mirrorkit.serving.served import Served
from mirrorkit.serving.service import Service

TOKENIZE_CHARS = 100_000  # of all texts of a request; an answer takes a hundred times as many bytes
# What text-embeddings-inference has and other kinds of model would answer.
_OTHERS = {
    "embed_all": "one vector a text is served here, and none for its tokens; use /embed",
    "embed_sparse": "this server has no sparse vectors; use /embed",
    "rerank": "this server has encoders only, and none that compares pairs; use /embed and compare the vectors",
    "predict": "this server has encoders only, and no classifier; use /embed",
}


def make_app(service: Service) -> ASGIApp:
    """Return the application; `service` is used by all its paths."""

    def post(path: str, handler: Any, *, openai: bool = False) -> Route:
        return Route(path, Endpoint(service, path, handler, openai=openai), methods=["POST"])

    def get(path: str, handler: Any, *, openai: bool = False, open_to_all: bool = False) -> Route:
        endpoint = Endpoint(service, path, handler, openai=openai, open_to_all=open_to_all)
        return Route(path, endpoint, methods=["GET"])

    page = page_response()

    async def show_page(exchange: Exchange) -> Response:  # noqa: ARG001  (it is the same for all)
        return page

    for_vectors = {"/v1/embeddings": post("/v1/embeddings", _embeddings, openai=True), "/embed": post("/embed", _embed)}
    routes = [
        *for_vectors.values(),
        get("/", show_page, open_to_all=True),  # which holds nothing yet; what it asks for needs the key
        get("/search", search_state),
        post("/search", search),
        get("/v1/models", _models, openai=True),
        get("/v1/models/{model:path}", _model, openai=True),
        post("/", _embed),  # where text-embeddings-inference's and the hub's clients send what has no path
        post("/tokenize", _tokenize),
        get("/info", _info),
        get("/health", _health, open_to_all=True),
        get("/ready", _ready, open_to_all=True),
        get("/metrics", _metrics),
        *(post(f"/{name}", _elsewhere) for name in _OTHERS),
    ]
    others = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _method})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what comes by the thousand need not be looked for among all the paths."""
        route = for_vectors.get(scope["path"]) if scope.get("method") == "POST" else None
        await (others if route is None else route.app)(scope, receive, send)

    return app


async def _embeddings(exchange: Exchange) -> Response:
    service = exchange.service
    wanted = await exchange.json(lambda body: openai_request(body, service.models, service.settings))
    return await openai_answer(exchange, wanted)


async def _embed(exchange: Exchange) -> Response:
    service = exchange.service
    wanted = await exchange.json(lambda body: tei_request(body, service.models, service.settings))
    return await tei_answer(exchange, wanted)


async def _tokenize(exchange: Exchange) -> Response:
    models, limits = exchange.service.models, exchange.service.settings.limits

    def read(body: Mapping[str, Any]) -> tuple[Served, list[str], bool]:
        texts, ids = texts_or_ids(body, "inputs", limits)
        if ids is not None:
            raise RefusedError(Why.MALFORMED, "`inputs` must be a string or a list of strings", "inputs")
        if sum(map(len, texts)) > TOKENIZE_CHARS:
            raise RefusedError(Why.TOO_LONG, f"`inputs` has more than {TOKENIZE_CHARS:,} characters", "inputs")
        served = models.find(optional(body, "model", str))
        return served, texts, bool(optional(body, "add_special_tokens", bool, True))

    served, texts, special = await exchange.json(read)
    found = await anyio.to_thread.run_sync(lambda: served.pieces(texts, special=special))
    return json_response([[_piece(one) for one in text] for text in found])


def _piece(one: Any) -> dict[str, Any]:
    start, stop = (None, None) if one.special else (one.start, one.stop)
    return {"id": one.id, "text": one.text, "special": one.special, "start": start, "stop": stop}


async def _models(exchange: Exchange) -> Response:
    models = exchange.service.models.by_name
    listed = []
    for name, variants in models.items():
        listed.append(_described(name, next(iter(variants.values()))))
        if len(variants) > 1:
            listed += [_described(served.id, served) for served in variants.values()]
    return json_response({"object": "list", "data": listed})


async def _model(exchange: Exchange) -> Response:
    name = exchange.scope["path_params"]["model"]
    return json_response(_described(name, exchange.service.models.find(name)))


def _described(name: str, served: Served) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": served.created,
        "owned_by": "mirrorkit",
        "variant": served.variant,
        "dimensions": served.encoding.dim,
        "max_length": served.max_length,
        "fingerprint": served.fingerprint,
    }


async def _info(exchange: Exchange) -> Response:
    """Describe one model in the words of text-embeddings-inference, and list all."""
    service = exchange.service
    query = exchange.query
    served = service.models.find(query.get("model"), query.get("variant"))
    limits, usage = service.settings.limits, served.encoding.opened.usage
    return json_response(
        {
            "model_id": served.name,
            "model_sha": served.fingerprint,
            "model_dtype": served.variant,
            "model_type": {"embedding": {"pooling": served.encoding.opened.pooled_by or "in the graph"}},
            "max_concurrent_requests": limits.max_connections,
            "max_input_length": served.max_length,
            "max_batch_tokens": served.encoding.runner.batch_tokens,
            "max_client_batch_size": limits.max_texts,
            "auto_truncate": service.settings.truncate,
            "version": __version__,
            "fingerprint": served.fingerprint,
            "variant": served.variant,
            "dimensions": served.encoding.dim,
            "normalized": usage.normalized,
            "similarity": usage.similarity,
            "prompts": list(usage.prompts),
            "default_prompt": usage.default_prompt,
            "models": {
                name: {s.variant: s.fingerprint for s in found.values()}
                for name, found in service.models.by_name.items()
            },
        }
    )


async def _health(exchange: Exchange) -> Response:  # noqa: ARG001  (it answers, so it is alive)
    return Response(b"", 200)


async def _ready(exchange: Exchange) -> Response:
    if exchange.service.stopping:
        raise RefusedError(Why.UNREADY, "the server is stopping")
    if exchange.service.search is not None:
        ready(exchange.service.search)
    return Response(b"", 200)


async def _metrics(exchange: Exchange) -> Response:
    page, kind = exchange.service.metrics.page()
    return Response(page, 200, {"Content-Type": kind})


async def _elsewhere(exchange: Exchange) -> Response:
    raise RefusedError(Why.NOT_HERE, _OTHERS[exchange.scope["path"].strip("/")])


async def _not_found(request: Request, _: Exception) -> Response:
    return _plain(request, RefusedError(Why.NOT_HERE, "there is nothing here; see /, /v1/embeddings, /embed and /info"))


async def _method(request: Request, err: Exception) -> Response:
    allowed = dict(getattr(err, "headers", None) or {})
    return _plain(request, RefusedError(Why.METHOD, f"{request.method} is not for this path", headers=allowed))


def _plain(request: Request, err: RefusedError) -> Response:
    status, body = err.answer(openai=request.url.path.startswith("/v1/"))
    response = json_response(body, status)
    response.headers.update(err.headers)
    return response
