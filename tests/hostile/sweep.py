"""Give spoilt bundles, model folders, texts and reports to the commands that read them; report what they make of it.

    python -m tests.hostile.sweep [--cases N] [--seed N] [--kind NAME]

Each must end with exit code 0 or 2 (`check`: 1 as well) and at most one line, within bounded time and memory, and
must open nothing outside of the folder that it was given.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import mirrorkit  # first, so that it can say of ONNX Runtime what that is to leave alone
from mirrorkit.formats.engine import read_engine
from mirrorkit.formats.plain import plain
from mirrorkit.terminal.boundary import boundary
from tests.bench.results import bench_result
from tests.engines import make_engine
from tests.faults.jobs import TEXTS, command, make_inputs
from tests.hostile.mutations import SECRET, copied, corpus, raw, spoil
from tests.hostile.mutations import field as change

SECONDS = 60  # of processor time, for a case that takes less than one
MEMORY = 12 << 30  # bytes of address space, most of which the libraries only reserve
OUTSIDE = (SECRET, "passwd", "zero")
OUT = "vectors.parquet"
CACHE = "cache"
READ_ENGINE = "read an engine's manifest"  # all that is done with an engine where no GPU is


@dataclass
class Outcome:
    """What came of the cases."""

    cases: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def of_bundle(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    folder = copied(inputs / "bundle", place)
    told = spoil(folder, rng)
    texts = inputs / "texts.txt"
    commands = [
        ["encode", folder, texts, "-o", place / "out.npy", "--threads", 1],
        ["similarity", folder, "one", "two"],
        ["triton", folder, "-o", place / "repository", "--device", "cpu"],
        ["operators", folder, "-o", place / "ops.config"],
        ["check", folder],
    ]
    return told, rng.choices(commands, [4, 4, 4, 1, 2])[0]


def of_foreign(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    """Spoil a folder of the kind that others export."""
    folder = copied(inputs / "bundle", place)
    (folder / "mirrorkit.json").unlink()
    told = spoil(folder, rng)
    commands = [
        ["encode", folder, inputs / "texts.txt", "-o", place / "out.npy", "--threads", 1],
        ["similarity", folder, "one", "two"],
        ["check", folder],
    ]
    return told, rng.choice(commands)


def of_model(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    folder = copied(inputs / "model", place)
    return spoil(folder, rng), ["eval", folder, "--lexical", inputs / "words.tsv", "--device", "cpu"]


def of_sentence_model(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    folder = copied(inputs / "encoder", place)
    return spoil(folder, rng), ["eval", folder, "--lexical", inputs / "words.tsv", "--device", "cpu"]


def of_texts(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    file, told = corpus(place, rng)
    return told, ["encode", inputs / "bundle", file, "-o", place / "out.npy", "--threads", 1]


def of_parts(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    folder = copied(inputs / "stopped", place)
    told = spoil(folder, rng)
    return told, ["encode", inputs / "bundle", inputs / "texts.txt", "-o", folder / OUT, "--threads", 1, "--resume"]


def of_engine(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    folder = copied(inputs / "engine", place)
    return spoil(folder, rng), [READ_ENGINE, folder]


def of_adapter(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    folder = copied(inputs / "adapter", place)
    told, bundle = spoil(folder, rng), inputs / "bundle"
    commands = [
        ["encode", bundle, inputs / "texts.txt", "-o", place / "out.npy", "--threads", 1, "--adapter", folder],
        ["attach", bundle, folder, "-o", place / "attached"],
    ]
    return told, rng.choices(commands, [4, 1])[0]


def of_search(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    """Spoil what the cache holds of earlier searches, or what is searched."""
    told = spoil(copied(inputs / CACHE, place), rng)
    file = inputs / "texts.txt"
    if rng.random() < 0.5:
        file, told = corpus(place, rng)
    return told, ["search", inputs / "bundle", file, "--query", TEXTS[0], "--threads", 1]


def of_report(inputs: Path, place: Path, rng: random.Random) -> tuple[str, list[Any]]:
    file = copied(inputs / "reports", place) / "report.json"
    told = rng.choice([change, raw])(file, rng)  # no links: a user may name one, as the file that is meant
    return told, ["compare", inputs / "reports" / "report.json", file]


KINDS = {
    "bundle": of_bundle,
    "foreign": of_foreign,
    "model": of_model,
    "encoder": of_sentence_model,
    "texts": of_texts,
    "parts": of_parts,
    "engine": of_engine,
    "adapter": of_adapter,
    "search": of_search,
    "report": of_report,
}


def prepare(inputs: Path) -> None:
    from mirrorkit import SentenceEncoder

    make_inputs(inputs)
    SentenceEncoder.load(inputs / "model").save(inputs / "encoder")
    rows = "".join(f"{a}\t{b}\t{i}\n" for i, (a, b) in enumerate(itertools.pairwise(TEXTS)))
    (inputs / "words.tsv").write_text(rows, encoding="utf-8")
    stop_before_joining(inputs)
    make_engine(inputs / "engine", inputs / "bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(inputs / CACHE))
        mirrorkit.TextSearch(inputs / "bundle", inputs / "texts.txt", threads=1)
    (inputs / "reports").mkdir()
    report = json.dumps(plain(bench_result().as_dict()))
    (inputs / "reports" / "report.json").write_text(report, encoding="utf-8")


def stop_before_joining(inputs: Path) -> None:
    """Leave the parts of an `encode` that was stopped."""
    from mirrorkit import encode_file
    from mirrorkit.runtime.files.parts import Parts

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    (inputs / "stopped").mkdir()
    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Parts, "join", stop)
        encode_file(inputs / "bundle", str(inputs / "texts.txt"), inputs / "stopped" / OUT, threads=1)
    assert len(list(inputs.glob("stopped/.*/part-*"))) == 1


def run(arguments: list[Any]) -> tuple[int, str, list[str]]:
    """Run a command in a fork; returns its exit code, standard error, and what it opened that it must not."""
    with tempfile.TemporaryFile("w+b") as said, tempfile.TemporaryFile("w+b") as opened:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(0, 1)
            os._exit(_in_child(arguments, opened.fileno()))
        _, status = os.waitpid(child, 0)
        said.seek(0)
        opened.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode("utf-8", "replace"), opened.read().decode().split()


def _in_child(arguments: list[Any], opened: int) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(10 * SECONDS)
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)

    def look(event: str, values: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(values[0], (str, bytes)):
            name = Path(os.path.realpath(os.fsdecode(values[0]))).name
            if name in OUTSIDE and not values[2] & os.O_NOFOLLOW:  # with which a link is not opened
                os.write(opened, f"{name}\n".encode())
        elif event in ("subprocess.Popen", "os.system", "socket.connect"):
            os.write(opened, f"{event}\n".encode())

    sys.addaudithook(look)
    try:
        if arguments[0] == READ_ENGINE:
            with boundary():
                read_engine(arguments[1])
        else:
            command("-q", *arguments)
    except SystemExit as err:
        return err.code if isinstance(err.code, int) else 0
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def check(kind: str, seed: int, inputs: Path, place: Path, outcome: Outcome) -> None:
    """Run one case and look at how it ended."""
    told, arguments = KINDS[kind](inputs, place, random.Random(f"{kind} {seed}"))
    code, said, opened = run(arguments)
    outcome.cases[kind] += 1
    outcome.codes[code] += 1
    lines = [line for line in said.splitlines() if line.strip()]
    allowed = (0, 1, 2) if arguments[0] == "check" else (0, 2)
    wrong = []
    if code not in allowed:
        wrong.append(f"exit code {code}")
    if len(lines) > 1 or any(len(line) > 5000 for line in lines):
        wrong.append(f"{len(lines)} lines")
    if code == 2 and len(lines) != 1:
        wrong.append("nothing said")
    if opened:
        wrong.append(f"opened {sorted(set(opened))}")
    if wrong:
        shown = " | ".join(line[:300] for line in [*lines[:1], *lines[-2:]])
        outcome.problems.append(f"{kind} {seed} ({told}; {arguments[0]}): {', '.join(wrong)}: {shown}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    arguments = parser.parse_args()
    outcome = sweep(arguments.cases, arguments.seed, arguments.kind or list(KINDS))
    print(*outcome.problems, sep="\n")
    print(f"{sum(outcome.cases.values())} cases, {len(outcome.problems)} problems; exit codes {dict(outcome.codes)}")
    return bool(outcome.problems)


def sweep(cases: int, seed: int, kinds: list[str]) -> Outcome:
    """Run so many cases from `seed` on, the kinds in turn."""
    import onnx  # noqa: F401
    import torch

    import mirrorkit.cli.app
    import mirrorkit.evaluation.run
    import mirrorkit.exporter.adapter.attach
    import mirrorkit.exporter.operators
    import mirrorkit.exporter.triton.repository
    import mirrorkit.finding.search
    import mirrorkit.runtime.files.encode_file  # noqa: F401

    torch.set_num_threads(1)
    os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as name:
        inputs, place = Path(name) / "inputs", Path(name) / "case" / "place"
        prepare(inputs)
        os.environ["XDG_CACHE_HOME"] = str(place / CACHE)  # where a case has spoilt what lies there
        for number in range(cases):
            check(kinds[number % len(kinds)], seed + number, inputs, place, outcome)
    return outcome


if __name__ == "__main__":
    assert mirrorkit.__version__
    sys.exit(main())
