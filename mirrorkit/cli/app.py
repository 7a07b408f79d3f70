"""The command line: its commands in the order of the job, each loaded when it is called or its help is asked for."""

from __future__ import annotations

import atexit
import gc
from collections import UserDict
from importlib import import_module
from typing import Any, NamedTuple

import typer

from mirrorkit.cli.command import before_the_verb
from mirrorkit.cli.values import SparingCommand, SparingGroup
from mirrorkit.terminal.boundary import output_boundary


class Verb(NamedTuple):
    """Where a command is to be found, and the heading that the help lists it under."""

    heading: str
    module: str  # of this package
    function: str


VERBS = {
    "finetune": Verb("Train", "finetune", "finetune"),
    "recipes": Verb("Train", "finetune", "recipes"),
    "eval": Verb("Train", "evaluate", "evaluate"),
    "export": Verb("Export", "export", "export"),
    "check": Verb("Export", "export", "check"),
    "bench": Verb("Measure", "bench", "bench"),
    "compare": Verb("Measure", "compare", "compare"),
    "encode": Verb("Use", "encode", "encode"),
    "load": Verb("Use", "load", "load"),
    "similarity": Verb("Use", "encode", "similarity"),
    "search": Verb("Use", "search", "search"),
    "adapt": Verb("Use", "adapt", "adapt"),
    "attach": Verb("Use", "adapt", "attach"),
    "serve": Verb("Deploy", "serve", "serve"),
    "engine": Verb("Deploy", "engine", "engine"),
    "triton": Verb("Deploy", "triton", "triton"),
    "operators": Verb("Deploy", "operators", "operators"),
    "pack": Verb("Deploy", "pack", "pack"),
    "unpack": Verb("Deploy", "pack", "unpack"),
    "push": Verb("Deploy", "push", "push"),
    "demo": Verb("See it all", "demo", "demo"),
}


class Commands(UserDict[str, Any]):
    """Commands by name, each loaded when it is first looked up: who calls one does not wait for the others."""

    def __getitem__(self, name: str) -> Any:
        """Return the command `name`; raises KeyError."""
        found = self.data[name]
        if isinstance(found, Verb):
            run = getattr(import_module(f"mirrorkit.cli.{found.module}"), found.function)
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command(name, cls=SparingCommand, rich_help_panel=found.heading)(run)
            self.data[name] = found = typer.main.get_command(alone)
        return found


class Verbs(SparingGroup):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = Commands(VERBS)


class App(typer.Typer):
    """The command line, whose help may meet a full disk as well."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # The interpreter would look through all that was loaded for garbage as it ends, and free it piece by piece,
        # which takes longer than to encode a text; the system frees it at once. What is to happen at the end is
        # registered there, or done by now: files are closed by who opens them.
        atexit.unregister(gc.freeze)  # once
        atexit.register(gc.freeze)
        with output_boundary():
            return super().__call__(*args, **kwargs)


app = App(
    name="mirrorkit",
    cls=Verbs,
    help="Turn a masked language model into a sentence or word encoder, from raw text alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.callback()(before_the_verb)
