"""How search and STS change with the steps of one fine-tune, measured on development data.

python -m benchmarks.domains --out domains
python -m benchmarks.curves --base BASE --corpus domains/docstrings/train.jsonl --text-column text \
    --search domains/docstrings/docstrings-dev --sts ../shared/data/sts --at 3,5,10,20,46 --set views=crop

With a constant rate the state after n steps is that of a run of n steps, so one run gives the whole curve.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import record as files
from mirrorkit import SentenceEncoder, evaluate_retrieval, evaluate_sts
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.model.hub import locate_model
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.recipe import AUTO, Recipe, changed
from mirrorkit.training.recipes import choose

SHORT = 128  # tokens of a document that development scores look at
STS_DEV = "stsb-dev"


class Scores:
    """Is told of each step and scores the encoder after those asked for."""

    def __init__(self, encoder: SentenceEncoder, at: Sequence[int], search: Path | None, sts: Path | None) -> None:
        self._encoder = encoder
        self._at = set(at)
        self._search, self._sts = search, sts
        self._start = time.perf_counter()
        self._scoring = 0.0
        self.points: list[dict[str, float]] = []

    def phase(self, name: str) -> None:
        """Begin a phase, of which nothing is kept."""

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        """Score after this step, if it is one of those asked for."""
        if done in self._at:
            print(f"step {done} of {total}, {figures}", file=sys.stderr, flush=True)
            self.score(done)

    def score(self, step: int) -> None:
        """Add a point to the curve; the seconds are those of training alone."""
        begun = time.perf_counter()
        point: dict[str, float] = {"step": step, "seconds": begun - self._start - self._scoring}
        training, whole = self._encoder.training, self._encoder.max_length
        self._encoder.eval()
        if self._sts:
            point["sts"] = evaluate_sts(self._encoder, self._sts, tasks=[STS_DEV]).average
        if self._search:
            self._encoder.max_length = min(whole, SHORT)
            point["mrr_at_10"] = evaluate_retrieval(self._encoder, self._search).mrr_at_10.value
        self._encoder.max_length = whole
        self._encoder.train(training)
        self.points.append(point)
        print({name: round(value, 2) for name, value in point.items()}, file=sys.stderr, flush=True)
        self._scoring += time.perf_counter() - begun


def curve(
    base: str, corpus: Corpus, changes: dict[str, Any], at: Sequence[int], search: Path | None, sts: Path | None
) -> tuple[Recipe, list[dict[str, float]]]:
    """Train once, for as many steps as the last of `at`, and return the recipe and a point for each."""
    folder = locate_model(base).folder
    plain = SentenceEncoder.load(folder)
    assert plain.origin is not None
    layout = plain.origin.layout
    recipe = choose(
        AUTO,
        width=plain.backbone.config.hidden_size,
        own_pooling=layout.pooling if layout.named else None,
        texts=corpus.texts,
        changes={**changes, "steps": max(at), "blend": "0"},  # type: ignore[typeddict-item]
        count_tokens=lambda texts: plain.tokenize(texts, plain.max_length).lengths.tolist(),
    )
    encoder = SentenceEncoder.load(folder, pooling=recipe.pooling, dropout=recipe.dropout)
    scores = Scores(encoder, at, search, sts)
    scores.score(0)
    train(encoder, corpus, recipe, seed=1, progress=scores)
    missed = set(at) - {int(point["step"]) for point in scores.points}
    if missed:  # training reports four times a second at the most
        raise ConfigError(f"at {min(missed)}: that step was too short to be seen; give a larger batch_size")
    return recipe, scores.points


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.curves", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--base", required=True, help="model folder or shipped name")
    add("--corpus", required=True, type=Path)
    add("--text-column")
    add("--search", type=Path, help="folder in BEIR's layout; of development documents")
    add("--sts", type=Path, help=f"folder with {STS_DEV}.tsv")
    add("--at", default="3,5,10,20,46", help="steps (%(default)s)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="hyper-parameter; repeatable")
    add("--results", type=Path, default=files.RESULTS)
    return parser


def steps_of(text: str) -> list[int]:
    """Return the steps that `text` lists, in order; raises ConfigError for what is not one."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"at {text!r}: must be whole numbers above 0 with commas between, such as 3,10,46")
    return sorted({int(part) for part in parts})


def settings(given: Sequence[str]) -> dict[str, Any]:
    """Return the hyper-parameters of `NAME=VALUE`, each of its field's type."""
    usual = Recipe()
    fields = {field.name: type(getattr(usual, field.name)) for field in dataclasses.fields(Recipe)}
    found: dict[str, Any] = {}
    for one in given:
        name, _, value = one.partition("=")
        if name not in fields:
            raise ConfigError(f"set {one!r}: must be NAME=VALUE with one of {', '.join(fields)}")
        try:
            found[name] = fields[name](value) if fields[name] in (int, float) else value
        except ValueError as err:
            raise ConfigError(f"set {one!r}: must be a number") from err
    changed(usual, found)  # type: ignore[arg-type]  # its names have been looked up
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, score and write the record; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        at = steps_of(args.at)
        changes = settings(args.set)
        if not args.search and not args.sts:
            raise ConfigError("give --search, --sts or both: without them nothing is measured")
        corpus = load_corpus(args.corpus, text_column=args.text_column)
        described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
        recipe, points = curve(args.base, corpus, changes, at, args.search, args.sts)
        name = "_".join(["curve", files.slug(Path(args.base).name), files.slug(args.corpus.parent.name), *args.set])
        record = {
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
            **described,
            "base": Path(args.base).name,
            "corpus": {"name": f"{args.corpus.parent.name}/{args.corpus.name}", "strings": len(corpus)},
            "recipe": dataclasses.asdict(recipe),
            "points": points,
        }
        files.write_json(args.results / f"{files.slug(name)}.json", record)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
