"""Part a domain into train, dev and test, near-duplicates on one side, and write the three."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.domains.duplicates import groups, normalised
from benchmarks.domains.entries import Entry

TEST, DEV = (1500, 0.25), (500, 0.1)  # documents at most, and as a share of all
LARGEST = 0.01  # share of all above which a group of near-duplicates goes to train, as it would fill dev or test
FEWEST = 10  # texts that a label needs on a side to be asked for there


@dataclass(frozen=True)
class Sides:
    train: list[Entry]
    dev: list[Entry]
    test: list[Entry]
    about: dict[str, Any]


def part(found: Iterable[Entry], most: int, seed: int) -> Sides:
    """Draw `most` of the entries and part them; of entries with the same words only the first is kept."""
    every = list(found)
    distinct = list({normalised(entry.text): entry for entry in reversed(every)}.values())[::-1]
    rng = random.Random(seed)
    kept = [distinct[i] for i in sorted(rng.sample(range(len(distinct)), min(most, len(distinct))))]
    members: dict[int, list[Entry]] = {}
    for entry, group in zip(kept, groups([entry.text for entry in kept]), strict=True):
        members.setdefault(group, []).append(entry)
    order = list(members.values())
    rng.shuffle(order)
    wanted = [min(count, round(share * len(kept))) for count, share in (TEST, DEV)]
    sides: list[list[Entry]] = [[], [], []]  # test, dev, train
    for alike in order:
        small = len(alike) <= max(1, LARGEST * len(kept))
        side = next((i for i in (0, 1) if small and len(sides[i]) + len(alike) <= wanted[i]), 2)
        sides[side] += alike
    test, dev, train = sides
    about = {
        "found": len(every),
        "repeats dropped": len(every) - len(distinct),
        "kept": len(kept),
        "groups of near-duplicates": sum(len(alike) > 1 for alike in order),
        "documents in them": sum(len(alike) for alike in order if len(alike) > 1),
        "train": len(train),
        "dev": len(dev),
        "test": len(test),
        "seed": seed,
    }
    return Sides(train, dev, test, about)


def write(sides: Sides, folder: Path) -> None:
    """Write train.jsonl, and of dev and test NAME-SIDE, a folder in BEIR's layout, and NAME-SIDE.tsv, texts and labels.

    NAME is that of `folder`, since a report calls a set by its folder or file alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _jsonl(folder / "train.jsonl", [_document(number, entry) for number, entry in enumerate(sides.train)])
    for side, entries in (("dev", sides.dev), ("test", sides.test)):
        home = folder / f"{folder.name}-{side}"
        (home / "qrels").mkdir(parents=True, exist_ok=True)
        documents = [_document(number, entry) for number, entry in enumerate(entries)]
        _jsonl(home / "corpus.jsonl", [{**document, "title": ""} for document in documents])  # the title is the query
        right: dict[str, list[str]] = {}
        for document in documents:
            right.setdefault(document["title"], []).append(document["_id"])
        _jsonl(home / "queries.jsonl", [{"_id": f"q{n}", "text": title} for n, title in enumerate(right)])
        rows = [f"q{n}\t{one}\t1" for n, ids in enumerate(right.values()) for one in ids]
        _lines(home / "qrels" / f"{side}.tsv", ["query-id\tcorpus-id\tscore", *rows])
        _lines(folder / f"{home.name}.tsv", ["text\tlabel", *_labelled(entries)])
    _lines(folder / "about.json", [json.dumps(sides.about, indent=1)])


def _document(number: int, entry: Entry) -> dict[str, str]:
    return {"_id": f"d{number}", "title": entry.title, "text": entry.text, "label": entry.label, "source": entry.source}


def _labelled(entries: Sequence[Entry]) -> list[str]:
    count = Counter(entry.label for entry in entries)
    return [f"{entry.text}\t{entry.label}" for entry in entries if count[entry.label] >= FEWEST]


def _jsonl(file: Path, rows: Sequence[dict[str, str]]) -> None:
    _lines(file, [json.dumps(row, ensure_ascii=False) for row in rows])


def _lines(file: Path, lines: Sequence[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
