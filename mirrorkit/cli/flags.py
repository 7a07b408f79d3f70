"""The library speaks of parameters, the command line of flags: this is where the one is turned into the other."""

from __future__ import annotations

import re

import typer

# `name` or `name=value`; a dot leads to a field of a parameter, as in `trim.min_count`.
_QUOTED = re.compile(r"`([a-z][\w.]*)(?:=([^`]+))?`")
_LEADING = re.compile(r"(?:threshold )?([a-z]\w*)(?= (?:'[^']*'|\"[^\"]*\"|\S+): )")  # "max_length 9999: must be …"
_OTHER_NAMES = {"precision": "variants", "profiles": "profile"}  # parameter -> what the command calls it


def as_flags(message: str, ctx: typer.Context) -> str:
    """Return `message` with the flag of the running command for each parameter that it names."""

    def quoted(match: re.Match[str]) -> str:
        return _flag(ctx, match[1], match[2]) or match[0]

    def leading(match: re.Match[str]) -> str:
        return _flag(ctx, match[1], None) or match[0]

    return _QUOTED.sub(quoted, _LEADING.sub(leading, message) if _LEADING.match(message) else message)


def _flag(ctx: typer.Context, name: str, value: str | None) -> str | None:
    options = {str(param.name): param for param in ctx.command.params}
    name = name.replace(".", "_")
    option = options.get(name) or options.get(_OTHER_NAMES.get(name, ""))
    flags = [flag for flag in option.opts if flag.startswith("--")] if option else []
    if option is None or not flags:
        return None
    if value == "False" and option.secondary_opts:
        return str(option.secondary_opts[0])
    return str(flags[0]) if value in (None, "True") else f"{flags[0]} {value}"
