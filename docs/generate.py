"""Write docs/cli.md and docs/python.md from the commands and the docstrings themselves: python docs/generate.py.

`--check` writes nothing and exits with 1 where a page is not what would be written.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import html
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/generate.py from the code; edit the code, then run it again. -->"


def cli_page() -> str:
    """Return the page of all commands, in the order in which `mirrorkit --help` lists them."""
    import typer

    from mirrorkit.cli.app import app

    group: Any = typer.main.get_command(app)
    lines = [NOTE, "# Command line", "", (group.help or "").strip(), ""]
    for name, command in group.commands.items():
        if not command.hidden:
            lines += [*section(name, command), ""]
    return "\n".join(lines).rstrip() + "\n"


def section(name: str, command: Any) -> Iterator[str]:
    """Yield the section of one command: what it does, how it is called, its options under their headings."""
    ctx = command.make_context(name, [], resilient_parsing=True)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    pieces = [piece for p in arguments for piece in p.get_usage_pieces(ctx)]
    yield from (f"## mirrorkit {name}", "", (command.help or "").strip(), "")
    pieces = [piece.replace("{", "").replace("}", "").upper() for piece in pieces]
    yield from ("```text", " ".join(["mirrorkit", name, "[OPTIONS]", *pieces]), "```", "")
    for p, piece in zip(arguments, pieces, strict=True):
        yield f"- `{piece}`: {p.help}"
    yield from [""] * bool(arguments)
    headings: dict[str, list[Any]] = {}
    for p in command.params:
        if p.param_type_name == "option" and not p.hidden:
            headings.setdefault(p.rich_help_panel or "Options", []).append(p.get_help_record(ctx))
    for heading, records in headings.items():
        yield from (f"**{heading}**", "", "| option | what it does |", "|---|---|")
        for option, text in records:
            yield f"| {code_cell(option)} | {cell(text)} |"
        yield ""


def cell(text: str) -> str:
    """Return text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code_cell(text: str) -> str:
    """Return code that may stand in a table; a bar between backticks would show its backslash on the site."""
    if "|" not in text:
        return f"`{cell(text)}`"
    return f"<code>{html.escape(' '.join(text.split())).replace('|', '&#124;')}</code>"


def python_page() -> str:
    """Return the page of all public names: signature and docstring."""
    import mirrorkit

    lines = [NOTE, "# Python", "", (mirrorkit.__doc__ or "").strip(), ""]
    for name in mirrorkit.__all__:
        if name == "__version__":
            continue
        lines += [*entry(name, getattr(mirrorkit, name)), ""]
    return "\n".join(lines).rstrip() + "\n"


def entry(name: str, value: Any) -> Iterator[str]:
    """Yield the section of a public function or class; of a class, its public methods and properties too."""
    yield from (f"## {name}", "")
    if dataclasses.is_dataclass(value) or (inspect.isclass(value) and issubclass(value, enum.Enum)):
        yield from ("```pyi", f"class {name}:", *fields(value), "```", "")
    elif not (inspect.isclass(value) and issubclass(value, BaseException)):
        yield from ("```pyi", signature(name, value), "```", "")
    yield from documented(value)
    if inspect.isclass(value):
        for member, attribute in vars(value).items():
            inner = getattr(attribute, "fget", None) or getattr(attribute, "__func__", attribute)
            if member.startswith("_") or not inspect.isfunction(inner) or not inner.__doc__:
                continue
            told = signature(member, inner)
            if isinstance(attribute, property):
                told = told.replace("(self) ->", ":", 1).replace(" :", ":", 1)
            yield from ("", f"### {name}.{member}", "", "```pyi", told, "```", "")
            yield from documented(inner)


def documented(value: Any) -> Iterator[str]:
    """Yield the docstring, examples as Python."""
    inside = False
    for line in inspect.cleandoc(value.__doc__ or "").splitlines():
        if line.startswith(">>>") and not inside:
            inside = True
            yield "```pycon"
        elif inside and not line:
            inside = False
            yield "```"
        yield line
    yield from ["```"] * inside


def fields(cls: type) -> Iterator[str]:
    """Yield the fields of a dataclass or the members of an enumeration as the code has them, with what it says."""
    source = inspect.cleandoc("\n" + inspect.getsource(cls))
    lines = source.splitlines()
    about = {f.name: f for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for node in body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        name = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
        if help_ := name in about and about[name].metadata.get("help"):
            default = about[name].default
            shown = json.dumps(default) if isinstance(default, str) else repr(default)  # in the quotes of our style
            yield f"    {name}: {about[name].type} = {shown}  # {help_}"
        else:
            yield from (f"    {line.strip()}" for line in lines[node.lineno - 1 : node.end_lineno])


def signature(name: str, value: Any) -> str:
    """Return a signature, one parameter a line where it is long."""
    try:
        told = inspect.signature(value)
    except ValueError:  # an enumeration
        return name
    line = f"{name}{told}"
    if len(line) > 100:
        parameters, starred = [], False
        for p in told.parameters.values():
            if p.kind is p.KEYWORD_ONLY and not starred:
                parameters.append("*")
            starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
            parameters.append(str(p))
        back = "" if told.return_annotation is told.empty else f" -> {told.return_annotation}"
        line = "\n".join([f"{name}(", *(f"    {p}," for p in parameters), f"){back}"])
    return unquoted(line, told)


def unquoted(line: str, told: inspect.Signature) -> str:
    """Return the line without the quotes that inspect puts around annotations which are still strings."""
    for annotation in {told.return_annotation, *(p.annotation for p in told.parameters.values())}:
        if isinstance(annotation, str):
            line = line.replace(repr(annotation), annotation)
    return line


PAGES = {"cli.md": cli_page, "python.md": python_page}


def main(check: bool) -> int:
    """Write the pages, or tell which are out of date."""
    stale = []
    for name, make in PAGES.items():
        file, text = HERE / name, make()
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                file.write_text(text, encoding="utf-8")
    if stale:
        print(("out of date, run python docs/generate.py: " if check else "wrote ") + ", ".join(stale))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
