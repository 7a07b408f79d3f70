"""Answer requests for vectors: `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mirrorkit.cli.command import RUN, Setting, command, listed, option, settings
from mirrorkit.terminal.console import is_quiet, say

_WHERE = "Where it listens, and who may ask"
_LOGS = "What it tells"
_SEARCH = "The search page, at /"
_MCP = "Model Context Protocol, over standard input and output"
_LIMITS = {
    "max_body_mb": Setting(float, "MB of a request's body; default: 8."),
    "max_texts": Setting(int, "Texts in a request; default: 10,000."),
    "max_chars": Setting(int, "Characters of a text; default: 1,048,576."),
    "max_tokens": Setting(int, "Tokens of all texts of a request; default: 1,000,000."),
    "max_queue": Setting(int, "Texts that may wait, of all requests; default: 20,000."),
    "max_held_mb": Setting(float, "MB of requests that are not answered yet, vectors included; default: 512."),
    "max_connections": Setting(int, "Connections at a time; default: 1,000."),
    "request_timeout": Setting(float, "Seconds for a request, from its head to its last byte; default: 60."),
    "header_timeout": Setting(float, "Seconds for the head of a request; default: 10."),
    "idle_timeout": Setting(float, "Seconds that a connection may lie idle; default: 30."),
    "drain_timeout": Setting(float, "Seconds for what is under way when it is told to stop; default: 30."),
}


@command
@settings("limits", _LIMITS, "Limits")
def serve(
    bundles: Annotated[
        list[str],
        typer.Argument(help="Folders of bundles or hub ids; clients call one by its folder's name, or as NAME=FOLDER."),
    ],
    host: Annotated[str, option(_WHERE, "Address; others than this machine's own need a key.")] = "127.0.0.1",
    port: Annotated[int, option(_WHERE, "0: any that is free.")] = 8080,
    key_file: Annotated[
        Path | None, option(_WHERE, "File of API keys, one a line; or one key in MIRRORKIT_API_KEY.")
    ] = None,
    without_key: Annotated[
        bool, option(_WHERE, "Let everybody who reaches the address use it.", "--without-key")
    ] = False,
    variants: Annotated[str, option(RUN, "Variants to open, with commas, the default first.")] = "auto",
    device: Annotated[str | None, option(RUN, "cpu (default) or cuda.")] = None,
    threads: Annotated[int | None, option(RUN, "Of each process; default: the physical cores.")] = None,
    workers: Annotated[int, option(RUN, "Processes that share the port.")] = 1,
    truncate: Annotated[
        bool, option(RUN, "Cut texts that are too long, where a request does not say; default: refuse.", "--truncate")
    ] = False,
    search: Annotated[
        list[str] | None, option(_SEARCH, "File or folder that the first bundle searches; repeatable.")
    ] = None,
    before: Annotated[
        str | None, option(_SEARCH, "Another bundle, such as that of the base: what it finds stands beside.")
    ] = None,
    mcp: Annotated[
        bool, option(_MCP, "Not HTTP: tools for one client, as embed, similar, and search of --search.", "--mcp")
    ] = False,
    log_requests: Annotated[bool, option(_LOGS, "Log a line for each request.", "--log-requests")] = False,
    log_texts: Annotated[bool, option(_LOGS, "Log the texts, too.", "--log-texts")] = False,
    otel: Annotated[
        bool, option(_LOGS, "Send traces to the OTEL_EXPORTER_OTLP_ENDPOINT of the environment.", "--otel")
    ] = False,
    limits: dict[str, Any] = {},  # noqa: B006  (filled by `settings`)
) -> None:
    """Serve bundles over HTTP, as OpenAI's /v1/embeddings and text-embeddings-inference's /embed do.

    SIGTERM answers what is under way and ends; SIGHUP opens bundles and keys anew.
    """
    if mcp:
        from mirrorkit.serving.tools import serve_tools

        chosen = listed(variants) or ["auto"]
        serve_tools(bundles, search or (), chosen[0], threads)
        return
    from mirrorkit.serving.run import run
    from mirrorkit.serving.settings import Limits, Settings, named_bundles

    run(
        Settings(
            named_bundles(bundles),
            tuple(listed(variants) or ["auto"]),
            device,
            threads,
            host,
            port,
            workers,
            None if key_file is None else str(key_file),
            without_key,
            truncate,
            log_requests,
            log_texts,
            otel,
            tuple(search or ()),
            None if before is None else named_bundles([before])[0],
            Limits(**limits),
        ),
        lambda line: None if is_quiet() else say(line),
    )
