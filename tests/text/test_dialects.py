"""Tables that a writer of csv makes of texts full of delimiters and quotation marks: none is read wrongly."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from pathlib import Path

from mirrorkit.errors import MirrorkitError
from mirrorkit.text.dialect import Dialect, Sample, best_dialect
from mirrorkit.training.corpus import load_corpus

TRIALS = 250
WORDS = [
    "the",
    "museum",
    "opens",
    "at",
    "nine",
    "on",
    "sunday",
    "it's",
    '"no"',
    "don't",
    "3.5",
    "10",
    "–",
    "café",
    "visitors",
    "wait",
    "outside",
    "in",
    "the",
    "rain",
]
INSERTED = (",", ";", "\t", "|", '"', "'", "\n", ', "x"', "; ", "'\" ", '""')
COLUMNS = (["text"], ["id", "text"], ["label", "review"], ["id", "review", "stars"], ["id", "text", "date"])
QUOTING = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


def text(rng: random.Random, chances: dict[str, float]) -> str:
    made = " ".join(rng.choice(WORDS) for _ in range(rng.randint(4, 14)))
    for inserted, chance in chances.items():
        if rng.random() < chance:
            place = rng.randrange(len(made))
            made = made[:place] + inserted + made[place:]
    return made.capitalize() + rng.choice([".", "?", "", '!"', "'"])


def table(rng: random.Random, texts: list[str]) -> tuple[str, str]:
    """Return the end of a file's name and a table with the texts in one of its columns."""
    columns, delimiter = rng.choice(COLUMNS), rng.choice(",;\t|")
    out = io.StringIO()
    style = {"delimiter": delimiter, "quoting": rng.choice(QUOTING), "quotechar": rng.choice('"""\'')}
    writer = csv.writer(out, lineterminator=rng.choice(["\n", "\r\n"]), **style)  # type: ignore[arg-type]
    if rng.random() < 0.7:
        writer.writerow(columns)
    for i, one in enumerate(texts):
        others = {"id": i, "label": rng.choice(["pos", "neg"]), "stars": rng.randint(1, 5), "date": f"2024-01-{i % 28}"}
        writer.writerow([others.get(column, one) for column in columns])
    return ".tsv" if delimiter == "\t" and rng.random() < 0.8 else ".csv", out.getvalue()


def test_no_table_is_read_wrongly(tmp_path: Path) -> None:
    rng = random.Random(0)
    outcomes = Counter[str]()
    for _ in range(TRIALS):
        chances = {inserted: rng.choice([0, 0, 0.1, 0.5, 0.9]) for inserted in INSERTED}
        texts = [text(rng, chances) for _ in range(rng.choice([3, 8, 40, 100]))]
        suffix, content = table(rng, texts)
        file = tmp_path / f"c{suffix}"
        file.write_text(content, encoding="utf-8", newline="")
        try:
            found = load_corpus(file, keep_repeats=True)
        except MirrorkitError:
            outcomes["refused"] += 1
            continue
        assert found.texts == [" ".join(one.split()) for one in texts], found.understood
        outcomes["read"] += 1
    assert outcomes["read"] > 0.95 * TRIALS


def test_marks_of_the_texts_between_tabs_are_kept() -> None:
    rows = ["index\tsentence", '1\t"Yes," he said.', '2\t"All of it is said."', "3\tNothing is.", '4\t5" wide']
    assert best_dialect(Sample("c.tsv", rows, whole=True), "\t") == Dialect("\t")
    doubled = [*rows[:1], '1\t"He said ""yes""."', "2\tNothing is."]
    assert best_dialect(Sample("c.tsv", doubled, whole=True), "\t") == Dialect("\t", '"')
