"""Values that typer does not get to see are what it would have made of them, and what it refuses is still refused."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.core import TyperCommand
from typer.testing import CliRunner

from mirrorkit.cli.values import SparingCommand


class Size(str, Enum):
    SMALL = "small"
    LARGE = "large"


def told(
    name: str,
    others: list[str],
    text: Annotated[str | None, typer.Option(envvar="TEST_VALUES_TEXT")] = None,
    word: str = "auto",
    count: int | None = None,
    seed: Annotated[int, typer.Option(min=0, max=9)] = 4,
    rate: float = 1,
    flag: bool | None = None,
    loud: Annotated[int, typer.Option("--loud", "-l", count=True)] = 0,
    place: Path | None = None,
    size: Size | None = None,
    parsed: Annotated[str, typer.Option(parser=str.upper)] = "x",
    several: Annotated[list[str] | None, typer.Option()] = None,
    numbers: Annotated[list[int] | None, typer.Option()] = None,
) -> None:
    typer.echo(ascii(locals()))


def outcome(cls: type[TyperCommand], args: list[str]) -> tuple[int, str]:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(cls=cls)(told)
    result = CliRunner().invoke(app, args)
    return result.exit_code, result.output


ACCEPTED = [
    [],
    ["--text", "", "--word", "étude 漢字"],
    ["--count", "3", "--seed", "9", "--rate", "0.5"],
    ["--flag", "-ll", "--place", "somewhere/else"],
    ["--no-flag", "--size", "large", "--parsed", "small"],
    ["--several", "a", "--several", "", "--numbers", "1"],
]
REFUSED = [
    ["--count", "x"],
    ["--count", "1.5"],
    ["--seed", "10"],
    ["--rate", "much"],
    ["--size", "huge"],
    ["--numbers", "one"],
    ["--word"],
    ["--nothing-of-the-kind"],
]


@pytest.mark.parametrize("more", ACCEPTED, ids=" ".join)
def test_values_are_those_that_typer_makes(more: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    args = ["bundle", "one", "two", *more]
    code, said = outcome(SparingCommand, args)
    assert (code, said) == outcome(TyperCommand, args)
    assert code == 0, said
    assert "'others': ['one', 'two']" in said
    monkeypatch.setenv("TEST_VALUES_TEXT", "from outside")
    assert outcome(SparingCommand, args) == outcome(TyperCommand, args)


@pytest.mark.parametrize("more", REFUSED, ids=" ".join)
def test_what_typer_refuses_is_refused_in_its_words(more: list[str]) -> None:
    args = ["bundle", "one", *more]
    code, said = outcome(SparingCommand, args)
    assert (code, said) == outcome(TyperCommand, args)
    assert code == 2
    assert more[0] in said


@pytest.mark.parametrize("args", [[], ["bundle"], ["\udcff", "one"], ["bundle", "\udcff"], ["b", "o", "--word=\udcff"]])
def test_arguments_that_are_missing_or_no_text(args: list[str]) -> None:
    assert outcome(SparingCommand, args) == outcome(TyperCommand, args)
