"""What a server counts, for Prometheus. No text, no key and no address of a client is in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from mirrorkit.extras import require
from mirrorkit.serving.queue import Batch

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of one server lay down what they count
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)


class Metrics:
    """The counters of one process; `page` is of all processes of the server."""

    def __init__(self) -> None:
        prometheus = require("prometheus_client", extra="serve")
        self._prometheus = prometheus
        own = prometheus.CollectorRegistry()
        self._registry = own
        if MULTIPROCESS in os.environ:
            from prometheus_client import multiprocess

            self._registry = prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(self._registry)
        counter, histogram = prometheus.Counter, prometheus.Histogram
        self.requests = counter("mirrorkit_requests", "Answers, by path and status.", ["path", "status"], registry=own)
        self.seconds = histogram(
            "mirrorkit_request_seconds",
            "From a request's head to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=own,
        )
        self.request_texts = histogram("mirrorkit_request_texts", "Texts in a request.", buckets=_TEXTS, registry=own)
        model = ["model", "variant"]
        self.texts = counter("mirrorkit_texts", "Texts that were given vectors.", model, registry=own)
        self.tokens = counter("mirrorkit_tokens", "Tokens of them, without padding.", model, registry=own)
        self.padded = counter("mirrorkit_padded_tokens", "Tokens of the batches, with padding.", model, registry=own)
        self.batches = counter("mirrorkit_batches", "Passes through a graph.", model, registry=own)
        self.compute = counter("mirrorkit_compute_seconds", "Time in graphs, of all threads.", model, registry=own)
        self._of_model: dict[tuple[str, ...], Sequence[Any]] = {}
        self._waiting = prometheus.Gauge(
            "mirrorkit_waiting_texts", "Texts that wait for vectors.", registry=own, multiprocess_mode="livesum"
        )
        self._held = prometheus.Gauge(
            "mirrorkit_held_bytes", "Of requests under way.", registry=own, multiprocess_mode="livesum"
        )

    def watch(self, waiting: Callable[[], int], held: Callable[[], int]) -> None:
        """Say where to look for what goes up and down."""
        self._look = (waiting, held)

    def ran(self, batch: Batch, seconds: float) -> None:
        """Count a batch."""
        served = batch.lane.served
        lengths = [len(tokens) for tokens in batch.tokens]
        found = (len(lengths), sum(lengths), max(lengths) * len(lengths), 1, seconds)
        for counter, amount in zip(self._counters(served.name, served.variant), found, strict=True):
            counter.inc(amount)

    def _counters(self, *model: str) -> Sequence[Any]:
        """Return the counters of a model, which are looked up once: that takes as long as to count."""
        known = self._of_model.get(model)
        if known is None:
            every = (self.texts, self.tokens, self.padded, self.batches, self.compute)
            known = self._of_model[model] = [counter.labels(*model) for counter in every]
        return known

    def page(self) -> tuple[bytes, str]:
        """Return the page that Prometheus reads, and its content type."""
        waiting, held = self._look
        self._waiting.set(waiting())
        self._held.set(held())
        return self._prometheus.generate_latest(self._registry), self._prometheus.CONTENT_TYPE_LATEST


def forget(pid: int | None) -> None:
    """Let what a process that has ended was waiting for and held count no longer."""
    if pid is not None:
        require("prometheus_client.multiprocess", extra="serve").mark_process_dead(pid)
