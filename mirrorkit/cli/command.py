"""What the commands share: options before or after the verb, one-line errors, options made of a list of settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

import typer

from mirrorkit import __version__
from mirrorkit.cli.flags import as_flags
from mirrorkit.terminal.boundary import boundary
from mirrorkit.terminal.console import Color, Manners, set_up

EXIT_FAILED = 1  # a gate or a check did not pass

# Headings of the help that several commands have.
OUTPUT = "Output"
RUN = "How it runs"
READ = "How files are read (default: as their content shows)"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run Python code that comes with the model; it runs with your permissions.",
        rich_help_panel=RUN,
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        help="Column name or number; for pairs two with a comma, or three: the last a negative.", rich_help_panel=READ
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(help="Between cells: ',', ';', '|', '||', tab; none: every line is one text.", rich_help_panel=READ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Such as cp1252 or shift_jis; default: UTF-8, or as a byte order mark says.", rich_help_panel=READ
    ),
]
Header = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="Whether the first line names the columns.", rich_help_panel=READ),
]
Command = Callable[..., None]


def listed(text: str | None) -> list[str] | None:
    """Return the parts of a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def option(heading: str, about: str, *flags: str, **more: Any) -> Any:
    """Return a typer option that the help lists under `heading`."""
    return typer.Option(*flags, help=about, rich_help_panel=heading, **more)


def _version(asked: bool) -> None:
    if asked:
        print(f"mirrorkit {__version__}")
        raise typer.Exit


def before_the_verb(
    ctx: typer.Context,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Show more; twice for everything.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only, no progress.")] = False,
    color: Annotated[
        Color | None, typer.Option(help="Default: auto, which is on a terminal unless NO_COLOR is set.")
    ] = None,
    version: Annotated[  # noqa: ARG001  (acted on by its callback)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn a masked language model into a sentence or word encoder, from raw text alone."""
    ctx.obj = Manners(-1 if quiet else verbose, color or Color.AUTO)


_HERE_TOO = [p for p in inspect.signature(before_the_verb, eval_str=True).parameters.values() if p.name != "ctx"]


def command(run: Command) -> Command:
    """Give a command what all have: -v, -q, --color and --version after the verb too, and errors of one line.

    Errors are in words of flags; see `boundary` for what ends how.
    """

    def wrapped(ctx: typer.Context, **given: Any) -> None:
        words = functools.partial(as_flags, ctx=ctx)
        before = ctx.obj if isinstance(ctx.obj, Manners) else Manners()
        verbose, quiet, color, _ = (given.pop(option.name) for option in _HERE_TOO)
        quiet = quiet or before.verbosity < 0
        set_up(-1 if quiet else before.verbosity + verbose, color or before.color, words)
        with boundary(words):
            run(**given)

    own = inspect.signature(run, eval_str=True).parameters.values()
    ctx = Parameter("ctx", Parameter.KEYWORD_ONLY, annotation=typer.Context)
    return _with_signature(wrapped, run, [ctx, *own, *_HERE_TOO])


@dataclass(frozen=True)
class Setting:
    """One option that only hands a number or a name on."""

    kind: type  # int, float, bool or str
    help: str
    flag: str | None = None  # else made of the name


def settings(into: str, of: Mapping[str, Setting], heading: str) -> Callable[[Command], Command]:
    """Give a command an option for each setting; it gets those that were given, by name, in the parameter `into`."""

    def decorate(run: Command) -> Command:
        def wrapped(**given: Any) -> None:
            asked = {name: given.pop(name) for name in of}
            run(**given, **{into: {name: value for name, value in asked.items() if value is not None}})

        own = inspect.signature(run, eval_str=True).parameters.values()
        parameters: list[Parameter] = []
        for parameter in own:
            if parameter.name != into:
                parameters.append(parameter)
                continue
            for name, setting in of.items():
                flags = [setting.flag] if setting.flag else []
                option = typer.Option(None, *flags, help=setting.help, rich_help_panel=heading)
                kind = setting.kind | None
                parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=option, annotation=kind))
        return _with_signature(wrapped, run, parameters)

    return decorate


def settings_of(cls: type, flags: Mapping[str, str]) -> dict[str, Setting]:
    """Return a setting for each field of a dataclass, whose metadata have its help."""
    hints = get_type_hints(cls)
    return {
        field.name: Setting(
            str if issubclass(hints[field.name], Enum) else hints[field.name],
            field.metadata["help"],
            flags.get(field.name),
        )
        for field in fields(cls)
    }


def _with_signature(wrapped: Command, run: Command, parameters: list[Parameter]) -> Command:
    """Return `wrapped` with the name and help of `run` and the parameters that typer is to see."""
    keyword_only = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    functools.update_wrapper(wrapped, run)
    wrapped.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword_only}
    return wrapped
