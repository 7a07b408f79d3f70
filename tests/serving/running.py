"""A server in a process of its own, and plain HTTP to ask it with."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds to wait for what takes a second where the machine is idle


def need_serve() -> None:
    """Skip where the packages of the extra are not installed."""
    for name in ("starlette", "uvicorn", "httptools", "orjson", "prometheus_client"):
        pytest.importorskip(name, reason="needs the serve extra; tests/serving/run has it")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A started server; what it says on stderr is collected line by line."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    host: str = "127.0.0.1"
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(self, path: str, body: object = None, method: str | None = None, **headers: str) -> Answer:
        """Send JSON, or bytes as they are; GET where there is no body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            if sent is not None:
                told.setdefault("Content-Type", "application/json")
            connection.request(method or ("GET" if body is None else "POST"), path, sent, told)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def vectors(self, texts: object, **fields: object) -> Any:
        """Return what /v1/embeddings gives, as an array."""
        import numpy as np

        answer = self.ask("/v1/embeddings", {"input": texts, "model": "lookup", **fields})
        assert answer.status == 200, answer.body
        return np.array([item["embedding"] for item in answer.json["data"]], dtype=np.float32)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def told(self, pattern: str) -> str:
        """Wait for a line that matches."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for line in list(self.lines):
                if re.search(pattern, line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no line like {pattern!r} in {self.lines}")


@contextlib.contextmanager
def running(*bundles: object, arguments: Sequence[object] = (), **environment: str) -> Iterator[Running]:
    """Serve for the block, on a port that is free."""
    given = [str(argument) for argument in (*bundles, "--port", "0", *arguments)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mirrorkit", "serve", *given],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    server = Running(process)
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: server.lines.extend(iter(process.stderr.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        line = server.told("serving .* on http://")
        server.port = int(re.search(r"on http://\S+:(\d+)", line)[1])  # type: ignore[index]
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            reader.join()
            process.stderr.close()
