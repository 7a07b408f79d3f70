"""One request and its answer: who asks, how much they bring, how long it takes, and one way out for every fault."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import orjson
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.service import Hold, Service

log = logging.getLogger(__name__)
requests_log = logging.getLogger("mirrorkit.serving.requests")

ABORT = "mirrorkit.abort"  # in a scope: what closes the connection at once, unsent bytes lost
LOST = "mirrorkit.lost"  # in a scope: what is to be called when the client closes the connection
_CLOSE = {"Connection": "close"}
_LINGER = 4  # times the limit of a body that are read and thrown away, so that the client is there for the answer
_AT_ONCE = 1 << 16  # bytes of JSON that are read without leaving it to a thread
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class ClientGoneError(Exception):
    """The connection was closed before there was an answer."""


@dataclass
class Exchange:
    """A request as handlers see it."""

    service: Service
    scope: Scope
    receive: Receive
    hold: Hold
    client: str = ""
    read: bool = False  # whether the body is here
    large: bool = False  # whether it is so large that reading may have been paused for it
    notes: dict[str, Any] = field(default_factory=dict)  # for the log

    @property
    def query(self) -> QueryParams:
        return QueryParams(self.scope["query_string"])

    async def json(self, read: Callable[[dict[str, Any]], Any]) -> Any:
        """Return what `read` makes of the body, an object in JSON; large ones are read in a thread."""
        body = await self._body()
        self.read, self.large = True, len(body) > _AT_ONCE

        def parsed() -> Any:
            try:
                value = orjson.loads(body)
            except orjson.JSONDecodeError as err:
                raise RefusedError(Why.NO_JSON, f"the body is not JSON ({err})") from err
            if not isinstance(value, dict):
                raise RefusedError(Why.MALFORMED, f"the body must be an object, is {type(value).__name__}")
            return read(value)

        return parsed() if not self.large else await anyio.to_thread.run_sync(parsed)

    def when_gone(self, call: Callable[[], None]) -> Callable[[], object]:
        """Let `call` be called when the client closes the connection; return what ends that.

        The connection tells of it, which costs next to nothing. While reading is paused it cannot, so that somebody has
        to wait for it.
        """
        told: list[Callable[[], None]] | None = self.scope.get(LOST)
        if told is not None and not self.large:
            told.append(call)
            return told.clear
        waiting = asyncio.create_task(self.gone())
        waiting.add_done_callback(lambda task: None if task.cancelled() else call())
        return waiting.cancel

    async def gone(self) -> None:
        """Return when the client has closed the connection; for when the body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _body(self) -> bytearray:
        headers = Headers(scope=self.scope)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        # Without this a page in somebody's browser could send us work: other types need nobody's permission.
        if kind != "application/json":
            raise RefusedError(Why.MEDIA, "the content type must be application/json")
        limit = self.service.settings.limits.body_bytes
        told = headers.get("content-length", "")
        expected = int(told) if told.isdecimal() else 0
        self.hold.more(min(expected, limit))
        body, dropped = bytearray(), 0
        async for part in self._parts():
            if len(body) + len(part) <= limit and expected <= limit and not dropped:
                if len(body) + len(part) > expected:
                    self.hold.more(len(part))
                body += part
                continue
            dropped += len(part)
            if dropped > _LINGER * limit:
                break
        if dropped or expected > limit:
            raise RefusedError(
                Why.BODY, f"the body has more than {limit:,} bytes; send fewer texts at a time", None, _CLOSE
            )
        return body

    async def _parts(self) -> Any:
        headers = Headers(scope=self.scope)
        limit = self.service.settings.limits.body_bytes
        told = headers.get("content-length", "")
        if told.isdecimal() and int(told) > limit and "100-continue" in headers.get("expect", "").lower():
            return  # it waits for a word before it sends
        while True:
            message: Message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return


Handler = Callable[[Exchange], Awaitable[Response]]


class Endpoint:
    """A handler as an ASGI application, in the manners of `openai` or of text-embeddings-inference."""

    def __init__(
        self, service: Service, path: str, handler: Handler, *, openai: bool, open_to_all: bool = False
    ) -> None:
        self._service, self._path, self._handler = service, path, handler
        self._seconds = service.metrics.seconds.labels(path)
        self._answers: dict[int, Any] = {}  # counters, by status
        self._openai, self._open = openai, open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, sent = time.perf_counter(), _Sent(send)
        settings = self._service.settings
        with self._service.hold() as held:
            exchange = Exchange(self._service, scope, receive, held)
            try:
                with anyio.fail_after(settings.limits.request_timeout):
                    response = await self._answered(exchange)
                    await response(scope, receive, sent)
            except TimeoutError:
                await self._late(exchange, sent)
        seconds, status = time.perf_counter() - began, sent.status or 499  # what nginx calls a client that has gone
        counter = self._answers.get(status)
        if counter is None:
            counter = self._answers[status] = self._service.metrics.requests.labels(self._path, status)
        counter.inc()
        self._seconds.observe(seconds)
        if settings.log_requests or settings.log_texts:
            told = "".join(f" {name}={value!r}" for name, value in exchange.notes.items())
            requests_log.info("%s %s %d %.1f ms%s", scope["method"], self._path, status, 1000 * seconds, told)

    async def _answered(self, exchange: Exchange) -> Response:
        try:
            exchange.client = self._client(exchange.scope)
            return await self._handler(exchange)
        except RefusedError as err:
            return self._refusal(err)
        except ClientGoneError:
            return _Nothing()
        except TimeoutError:
            raise
        except Exception:  # a fault of ours must not end the server, nor say what it was at to the client
            log.exception("a request failed")
            return self._refusal(RefusedError(Why.BROKEN, "The request failed; the server's log says more."))

    def _client(self, scope: Scope) -> str:
        """Return who asks, for their turn in the queue; raises RefusedError for who may not."""
        headers, peer = Headers(scope=scope), scope.get("client")
        address = peer[0] if peer else "local"
        if self._open:
            return address
        if not self._service.keys:
            self._check_host(headers.get("host", ""))
            return address
        owner = self._service.keys.owner(headers.get("authorization"))
        if owner is None:
            what = "Incorrect API key provided." if "authorization" in headers else "You did not provide an API key."
            raise RefusedError(
                Why.KEY, f"{what} Send it as Authorization: Bearer KEY.", None, {"WWW-Authenticate": "Bearer"}
            )
        return owner

    def _check_host(self, host: str) -> None:
        """Refuse a page whose name somebody has pointed at this machine: its browser takes us for its own server."""
        settings = self._service.settings
        if not settings.on_loopback:
            return
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name.lower() not in _LOOPBACK | {settings.host, f"[{settings.host}]"}:
            raise RefusedError(Why.HOST, "this server answers to this machine's own names only, such as localhost")

    def _refusal(self, err: RefusedError) -> Response:
        status, body = err.answer(openai=self._openai)
        return Response(orjson.dumps(body), status, err.headers, "application/json")

    async def _late(self, exchange: Exchange, sent: _Sent) -> None:
        """Say that the time is up; where the answer is under way, cut it off, as half of it must not look whole."""
        if not sent.status:
            told, why = ("was not answered", Why.LATE) if exchange.read else ("did not arrive", Why.SLOW_BODY)
            seconds = self._service.settings.limits.request_timeout
            headers = {**_CLOSE, "Retry-After": "1"}
            refusal = RefusedError(why, f"The request {told} within {seconds:g} s.", headers=headers)
            with anyio.move_on_after(1):
                await self._refusal(refusal)(exchange.scope, exchange.receive, sent)
                return
        exchange.scope.get(ABORT, _nothing)()
        with anyio.move_on_after(1):
            await exchange.gone()  # or uvicorn would close it once more


class _Nothing(Response):  # type: ignore[misc]
    """The answer to who has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        return


class _Sent:
    """Passes messages on, and knows the status once it is under way."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _nothing() -> None:
    """Stand in for closing a connection that there is none of, as in tests."""
