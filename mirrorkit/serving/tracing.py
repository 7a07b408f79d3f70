"""Traces of requests, by OpenTelemetry: how long each took and how it ended, and nothing of its body."""

from __future__ import annotations

import os
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def check_tracing() -> None:
    """Raise for packages that are missing, and where the environment does not say where traces are to go."""
    require("opentelemetry.instrumentation.asgi", extra="otel")
    require("opentelemetry.exporter.otlp.proto.http.trace_exporter", extra="otel")
    if not any(os.environ.get(name) for name in ENDPOINTS):
        raise ConfigError(f"`otel=True` needs {ENDPOINTS[0]} in the environment: the address that traces are sent to")


def traced(app: Any) -> Any:
    """Return the application, each of whose requests is a span; probes are none."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # What the environment says of the service goes before the name given here.
    name = os.environ.get("OTEL_SERVICE_NAME", "mirrorkit")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetryMiddleware(
        app, tracer_provider=provider, excluded_urls="health,ready,metrics", exclude_spans=["receive", "send"]
    )
