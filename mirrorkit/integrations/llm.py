"""The command-line tool llm (https://llm.datasette.io): bundles as its embedding models, `mirrorkit/NAME`.

A plugin that llm finds by itself. `llm mirrorkit add BUNDLE` makes a bundle known; what is known stands in
`mirrorkit.json` in llm's folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.json_file import read_object
from mirrorkit.integrations.shared import Model, needs
from mirrorkit.paths import local_path
from mirrorkit.publish import publish_file

with needs("llm"):
    import click
    import llm

__all__ = ["MirrorkitModel"]


class MirrorkitModel(llm.EmbeddingModel):  # type: ignore[misc]
    """A bundle as llm's embedding model; it is opened when it first embeds something.

    llm does not say which text is a query: all get the prompt of documents, where the bundle has one.
    """

    supports_text = True
    supports_binary = False
    batch_size = 256

    def __init__(self, name: str, bundle: str, variant: str = "auto") -> None:
        self.model_id = f"mirrorkit/{name}"
        self._bundle, self._variant = bundle, variant
        self._model: Model | None = None

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:  # noqa: ARG002
        """Yield the vector of each text."""
        if self._model is None:
            self._model = Model(self._bundle, variant=self._variant)
        yield from self._model.documents([str(item) for item in items]).tolist()


@llm.hookimpl  # type: ignore[untyped-decorator]
def register_embedding_models(register: Any) -> None:
    """Tell llm of the bundles that are known; where their list cannot be read, of none: llm does more than this."""
    try:
        known = _known()
    except MirrorkitError as err:
        click.echo(f"mirrorkit: {err}", err=True)
        return
    for name, about in known.items():
        register(MirrorkitModel(name, about["bundle"], about["variant"]))


@llm.hookimpl  # type: ignore[untyped-decorator]
def register_commands(cli: Any) -> None:
    """Give llm the command that makes a bundle known."""

    @cli.group()  # type: ignore[untyped-decorator]
    def mirrorkit() -> None:
        """Bundles of mirrorkit as embedding models"""

    @mirrorkit.command()  # type: ignore[untyped-decorator]
    @click.argument("bundle")
    @click.option("--name", help="What to call it; default: the name of the folder.")
    @click.option("--variant", default="auto", help="auto, fp32, int8, or the name of one.")
    def add(bundle: str, name: str | None, variant: str) -> None:
        """Make BUNDLE, a folder or hub id, known as mirrorkit/NAME"""
        try:
            click.echo(f"llm embed -m mirrorkit/{_add(bundle, name, variant)}")
        except MirrorkitError as err:
            raise click.ClickException(str(err)) from err

    @mirrorkit.command(name="list")  # type: ignore[untyped-decorator]
    def list_() -> None:
        """Show the bundles that are known"""
        try:
            for name, about in _known().items():
                click.echo(f"mirrorkit/{name}  {about['bundle']}  {about['variant']}")
        except MirrorkitError as err:
            raise click.ClickException(str(err)) from err


def _file() -> Path:
    return Path(llm.user_dir()) / "mirrorkit.json"


def _known() -> dict[str, dict[str, str]]:
    file = _file()
    if not file.exists():
        return {}
    known = read_object(file, ConfigError)
    for name, about in known.items():
        if not isinstance(about, dict) or not all(isinstance(about.get(key), str) for key in ("bundle", "variant")):
            raise ConfigError(f"{file}: {name!r} must have the strings bundle and variant")
    return known


def _add(bundle: str, name: str | None, variant: str) -> str:
    """Open a bundle, to see that it is one, and put it on the list; return its name."""
    encoder = Model(bundle, variant=variant).encoder
    local = local_path(bundle)
    name = name or (local.resolve().name if local.exists() else bundle.rpartition("/")[2])
    if not name or any(character.isspace() for character in name):
        raise ConfigError(f"name {name!r}: must not be empty, nor hold blanks")
    known = {**_known(), name: {"bundle": str(encoder.folder) if local.exists() else bundle, "variant": variant}}
    with publish_file(_file(), overwrite=True) as out:
        out.write((json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())
    return name
