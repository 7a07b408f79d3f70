"""Find the rows of a CSV that say the same in other words, and write the file without them.

    python examples/deduplicate.py BUNDLE IN.csv OUT.csv --column text [--above 0.8]

Rows are taken from the top; one that is closer than --above to a row that was kept is a repeat of it. What is a good
limit depends on the model and the texts: look at what is printed before you trust it.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from mirrorkit import Encoder


def repeats(vectors: np.ndarray, above: float) -> dict[int, tuple[int, float]]:
    """Return row -> (the kept row that it repeats, their cosine) for vectors [n, dim] of unit length."""
    kept: list[int] = []
    found: dict[int, tuple[int, float]] = {}
    for row, vector in enumerate(vectors):
        cosines = vectors[kept] @ vector
        if kept and cosines.max() >= above:
            best = int(cosines.argmax())
            found[row] = (kept[best], float(cosines[best]))
        else:
            kept.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--column", required=True)
    parser.add_argument("--above", type=float, default=0.8, help="cosine from which on two rows say the same")
    args = parser.parse_args()

    with args.source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        columns = reader.fieldnames or []
    if args.column not in columns:
        parser.error(f"{args.source}: no column {args.column!r}; there are {', '.join(columns)}")
    texts = [row[args.column] for row in rows]
    found = repeats(Encoder(args.bundle).encode(texts), args.above)
    for row, (first, cosine) in found.items():
        print(f"{cosine:.2f}  {texts[row]}  =  {texts[first]}")
    with args.target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(row for number, row in enumerate(rows) if number not in found)
    print(f"{len(rows)} rows, {len(rows) - len(found)} of them in {args.target}")


if __name__ == "__main__":
    main()
