"""uvicorn's HTTP connection, with the limits that it lacks: on a request's head, its time, and on connections."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mirrorkit.serving.exchange import ABORT, LOST
from mirrorkit.serving.settings import Limits

HEAD_BYTES = 1 << 16  # of a request's first line and headers
SENT_AHEAD = 64  # requests that a client may send without waiting for their answers
_GRACE = 5.0  # seconds for the answer that says that the time is up


class Connection(HttpToolsProtocol):  # type: ignore[misc]
    """One connection, which is closed where its client takes its time, or more than its share."""

    limits: Limits
    _deadline: asyncio.TimerHandle | None = None
    _between = True  # whether the head of a request is what comes next
    _head = 0  # bytes of it so far
    _cycles: tuple[Any, ...] = ()  # requests without an answer

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._refuse(b"503 Service Unavailable", b"too many connections")
        else:
            self._within(self.limits.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)  # which tells the last request alone, not those that it was sent behind
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                for tell in cycle.scope[LOST]:
                    tell()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._between:
            self._head += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._between and self._head > HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", b"the headers are too large")
        elif self._deadline is None and (self._head or not self._between):  # not all of a request is here
            limits = self.limits
            self._within(limits.header_timeout if self._between else limits.request_timeout + _GRACE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[typeddict-unknown-key]
        self.scope[LOST] = []  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._between, self._head = False, 0
        self._cancel()
        super().on_headers_complete()
        self._cycles = (*(cycle for cycle in self._cycles if not cycle.response_complete), self.cycle)
        if len(self._cycles) > SENT_AHEAD:
            self.transport.abort()

    def on_message_complete(self) -> None:
        self._between = True
        self._cancel()
        super().on_message_complete()

    def _within(self, seconds: float) -> None:
        self._cancel()
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self.cycle is not None and not self.cycle.response_complete and self._between:
            self._within(self.limits.header_timeout)  # the next request was sent ahead, and has to wait for this one
        elif self._between:
            self._refuse(b"408 Request Timeout", b"the request did not arrive in time")
        else:
            self.transport.abort()  # answered long ago, and its body still comes

    def _refuse(self, status: bytes, why: bytes) -> None:
        self._cancel()
        headers = b"content-type: text/plain\r\nconnection: close\r\ncontent-length: %d" % len(why)
        self.transport.write(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, headers, why))
        self.transport.close()


def connection_with(limits: Limits) -> type[Connection]:
    """Return a connection that keeps to these limits, for uvicorn to make many of."""
    return type("Connection", (Connection,), {"limits": limits})
