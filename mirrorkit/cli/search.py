"""Search by meaning: `search`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from mirrorkit.cli.command import RUN, Delimiter, Encoding, Header, Json, TextColumn, command, option
from mirrorkit.errors import ConfigError
from mirrorkit.terminal.console import is_quiet, live_progress, print_json, say, stdout
from mirrorkit.terminal.hits import hits_lines, hits_table

if TYPE_CHECKING:
    from mirrorkit.finding.index import Hit
    from mirrorkit.finding.search import TextSearch

_FIND = "What is found"


@command
def search(
    bundle: Annotated[
        str, typer.Argument(help="Folder of a bundle or of an ONNX export made by others, or a hub id of a bundle.")
    ],
    texts: Annotated[
        str,
        typer.Argument(
            help="Folder of .txt and .md files, or file of text, csv, tsv, json, jsonl (also .gz .bz2 .xz .zst), "
            "parquet or arrow."
        ),
    ],
    query: Annotated[
        list[str] | None, option(_FIND, "What to look for; repeatable. Without any: asked for, or lines of stdin.")
    ] = None,
    count: Annotated[int, option(_FIND, "How many to find, up to 1,000.", "--count", "-n")] = 10,
    before: Annotated[
        str | None, option(_FIND, "Another bundle, such as that of the base: what it finds stands beside.")
    ] = None,
    unit: Annotated[
        str | None,
        option(_FIND, "line, paragraph or document; default: paragraph of a folder and of Markdown, else line."),
    ] = None,
    variant: Annotated[str, option(RUN, "auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    exact: Annotated[
        bool, option(RUN, "Look at every text, also where a graph of more than 100,000 would do.", "--exact")
    ] = False,
    revision: Annotated[str | None, option(RUN, "Branch, tag or commit, of a hub id.")] = None,
    threads: Annotated[int | None, option(RUN, "Default: the physical cores.")] = None,
    text_column: TextColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    header: Header = None,
    json_: Json = False,
) -> None:
    """Find what in TEXTS is most like a query, by BUNDLE: scores, file and line. Vectors are cached."""
    from mirrorkit.finding.search import TextSearch, check_query

    for one in query or []:
        check_query(one, count)
    asked = sys.stdin is not None and sys.stdin.isatty() and not query
    if asked and json_:
        raise ConfigError("JSON of what is typed is not printed; give a `query`")
    with live_progress() as progress:
        tuned = TextSearch(
            bundle,
            texts,
            variant=variant,
            unit=unit,
            text_column=text_column,
            delimiter=delimiter,
            encoding=encoding,
            header=header,
            exact=exact,
            threads=threads,
            revision=revision,
            progress=progress,
        )
        base = tuned.with_bundle(before, progress=progress) if before else None
    if not (json_ or is_quiet()):
        say(_told(tuned))
    each = (
        (one, tuned.find(one, count), base.find(one, count) if base is not None else None)
        for one in query or _queries(asked)
    )
    if json_:
        print_json(_report(bundle, before, tuned, each))
        return
    names = (before or "", bundle)
    for one, found, others in each:
        lines = hits_lines(found) if others is None else [hits_table(others, found, names)]
        heading = [] if asked or (query and len(query) == 1) else [f"{one}:"]
        stdout().print(*heading, *lines, sep="\n", soft_wrap=others is None, markup=False)


def _queries(asked: bool) -> Iterator[str]:
    """Yield the lines of standard input, as they come."""
    if asked:
        with suppress(ImportError):  # as on Windows, where the terminal does it
            import readline  # noqa: F401  (input then has a history and can be edited)
    while sys.stdin is not None:
        try:
            line = input("search> " if asked else "")
        except EOFError:
            print(end="\n" if asked else "")
            return
        except UnicodeDecodeError as err:
            raise ConfigError(f"standard input: not {err.encoding} ({err.reason})") from err
        if line.strip():
            yield line


def _told(search: TextSearch) -> str:
    encoded = f"{search.encoded:,} encoded" if search.encoded else "none to encode"
    how = "" if search.exact else ", searched by a graph, which may miss a few (--exact)"
    return f"{search.understood}; {len(search):,} to search, {encoded}, {search.encoder.variant}{how}"


def _report(
    bundle: str,
    before: str | None,
    search: TextSearch,
    each: Iterator[tuple[str, list[Hit], list[Hit] | None]],
) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "bundle": bundle,
        "before": before,
        "variant": search.encoder.variant,
        "fingerprint": search.encoder.fingerprint,
        "similarity": search.encoder.usage.similarity,
        "texts": len(search),
        "encoded": search.encoded,
        "exact": search.exact,
        "understood": search.understood,
        "queries": [
            {
                "query": query,
                "hits": [hit.as_dict() for hit in found],
                "before": None if others is None else [hit.as_dict() for hit in others],
            }
            for query, found, others in each
        ],
    }
