"""Clients of a server of vectors, as light as they can be: they share the machine with what they measure.

Raw HTTP over kept connections; answers are read to their last byte and not parsed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit


@dataclass
class Tally:
    """What the clients saw."""

    texts: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds of each request
    failures: dict[int, int] = field(default_factory=dict)  # answers that were not 200, by status

    @property
    def rate(self) -> float:
        """Texts a second."""
        return self.texts / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Milliseconds within which so many percent of the requests were answered."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Client:
    """One connection."""

    def __init__(self, address: str, model: str, encoding_format: str = "float") -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._fixed = {"model": model, "encoding_format": encoding_format}

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=1 << 20)

    def close(self) -> None:
        self._writer.close()

    async def post(self, texts: Sequence[str]) -> int:
        """Ask for vectors; return the status."""
        body = json.dumps({**self._fixed, "input": list(texts)}).encode()
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self._writer.drain()
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in answer[1:])}
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await self._reader.readline(), 16):
                await self._reader.readexactly(size + 2)
            await self._reader.readline()
        else:
            await self._reader.readexactly(int(headers["content-length"]))
        return int(answer[0].split()[1])


def slices(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield so many texts at a time, round and round."""
    for first in count(0, size):
        start = first % len(texts)
        part = texts[start : start + size]
        yield part if len(part) == size else [*part, *texts[: size - len(part)]]


async def _ask(client: Client, parts: Iterator[Sequence[str]], tally: Tally, until: float) -> None:
    while time.perf_counter() < until:
        texts = next(parts)
        began = time.perf_counter()
        status = await client.post(texts)
        tally.latencies.append(time.perf_counter() - began)
        if status == 200:
            tally.texts += len(texts)
        else:
            tally.failures[status] = tally.failures.get(status, 0) + 1


async def _with_clients(address: str, model: str, count_: int, form: str) -> list[Client]:
    clients = [Client(address, model, form) for _ in range(count_)]
    for client in clients:
        await client.open()
    return clients


def load(
    address: str, model: str, texts: Sequence[str], *, clients: int, each: int, seconds: float, form: str = "float"
) -> Tally:
    """Let so many clients ask for `each` texts at a time, one request after another."""

    async def run() -> Tally:
        opened = await _with_clients(address, model, clients, form)
        tally, parts = Tally(), slices(texts, each)
        began = time.perf_counter()
        await asyncio.gather(*(_ask(client, parts, tally, began + seconds) for client in opened))
        tally.seconds = time.perf_counter() - began
        for client in opened:
            client.close()
        return tally

    return asyncio.run(run())


def single_beside_bulk(
    address: str, model: str, texts: Sequence[str], *, bulk: int, seconds: float, form: str = "float"
) -> tuple[Tally, Tally]:
    """Let one client ask for single texts while another asks for `bulk` texts at a time."""

    async def run() -> tuple[Tally, Tally]:
        one, many = await _with_clients(address, model, 2, form)
        single, whole = Tally(), Tally()
        until = time.perf_counter() + seconds
        background = asyncio.create_task(_ask(many, slices(texts, bulk), whole, until))
        await asyncio.sleep(0.5)
        await _ask(one, slices(texts, 1), single, until)
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        one.close()
        many.close()
        return single, whole

    return asyncio.run(run())
