"""From a checked request to the bytes of its answer."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import numpy as np
import orjson
from starlette.responses import Response, StreamingResponse

from mirrorkit.runtime.output import Array
from mirrorkit.serving.exchange import ClientGoneError, Exchange
from mirrorkit.serving.job import Job
from mirrorkit.serving.requests import Wanted

FINGERPRINT, MODEL = "X-Mirrorkit-Fingerprint", "X-Mirrorkit-Model"
_PIECE = 1 << 18  # numbers that are written at a time: some milliseconds, in which nobody else is served


async def computed(exchange: Exchange, wanted: Wanted) -> Job:
    """Return the request's job, done; raises RefusedError, or ClientGoneError where nobody waits any more."""
    service = exchange.service
    limits = service.settings.limits
    finished: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    job = Job(
        wanted.served,
        wanted.call,
        wanted.texts,
        partial(service.bell.ring, finished),
        client=exchange.client,
        truncate=wanted.truncate,
        max_tokens=limits.max_tokens,
        ids=wanted.ids,
    )
    exchange.notes.update(model=wanted.served.id, texts=job.size)
    if service.settings.log_texts:
        exchange.notes["input"] = wanted.texts or [one.tolist() for one in wanted.ids or []]
    exchange.hold.more(job.size * wanted.served.encoding.width * 4)
    service.metrics.request_texts.observe(job.size)
    if not service.pool.submit(job, limits.max_queue):
        raise service.overloaded()

    def gone() -> None:
        if not finished.done():
            finished.set_result(False)

    watched, answered = exchange.when_gone(gone), False
    try:
        answered = await finished
    finally:
        watched()
        if not answered:  # the client has gone, or its time is up
            service.pool.give_up(job)
    if not answered:
        raise ClientGoneError
    if job.error is not None:
        raise job.error
    exchange.notes["tokens"] = job.total_tokens
    return job


async def openai_answer(exchange: Exchange, wanted: Wanted) -> Response:
    """Return the body of /v1/embeddings, with what it took."""
    job = await computed(exchange, wanted)
    usage = {"prompt_tokens": job.total_tokens, "total_tokens": job.total_tokens}
    tail = b'],"model":' + orjson.dumps(wanted.asked_as) + b',"usage":' + orjson.dumps(usage) + b"}"

    def items(vectors: Array, first: int) -> bytes:
        written = [
            {"object": "embedding", "index": first + place, "embedding": _base64(one) if wanted.base64 else one}
            for place, one in enumerate(vectors)
        ]
        return _listed(written)

    return _written(job, b'{"object":"list","data":[', items, tail)


async def tei_answer(exchange: Exchange, wanted: Wanted) -> Response:
    """Return the body of /embed: a list of vectors."""
    job = await computed(exchange, wanted)
    return _written(job, b"[", lambda vectors, _: _listed(vectors), b"]")


def _listed(values: Any) -> bytes:
    """Return the items of a list as JSON, without its brackets."""
    written: bytes = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    return written[1:-1]


def _base64(vector: Array) -> str:
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii")


def _written(job: Job, head: bytes, items: Callable[[Array, int], bytes], tail: bytes) -> Response:
    vectors = np.ascontiguousarray(job.vectors())
    headers = {FINGERPRINT: job.served.fingerprint, MODEL: job.served.id}
    step = max(1, _PIECE // max(1, vectors.shape[1]))
    if len(vectors) <= step:
        return Response(head + items(vectors, 0) + tail, 200, headers, "application/json")

    async def pieces() -> AsyncIterator[bytes]:
        yield head
        for first in range(0, len(vectors), step):
            comma = b"," if first else b""
            yield comma + items(vectors[first : first + step], first)
            await asyncio.sleep(0)  # a piece that fits the socket's buffer would not let others have their turn
        yield tail

    return StreamingResponse(pieces(), 200, headers, "application/json")


def json_response(value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json")
