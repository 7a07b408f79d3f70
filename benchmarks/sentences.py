"""Make the plain sentences that ship in mirrorkit/assets/wordnet: example sentences of WordNet's glosses.

    python -m benchmarks.sentences --out mirrorkit/assets/wordnet

WordNet is the one that is installed, else Debian's `wordnet-base`: version 3.0 gives the same bytes every time.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.domains.wordnet import examples, licence

SENTENCES = 2500
WORDS = (5, 40)


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose the sentences and write them, with the licence beside them."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sentences", description=__doc__, formatter_class=plain)
    parser.add_argument("--wordnet", type=Path, help="folder of data.noun and the others")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    found = chosen(examples(args.wordnet))
    args.out.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress("".join(f"{line}\n" for line in found).encode(), 9, mtime=0)
    (args.out / "sentences.txt.gz").write_bytes(packed)
    (args.out / "LICENSE.txt").write_text(licence(args.wordnet), encoding="utf-8")
    print(f"{len(found):,} sentences, {len(packed) / 1e3:.0f} kB")
    return 0


def chosen(sentences: Sequence[str]) -> list[str]:
    """Return SENTENCES of those with WORDS words, drawn by hash, in their order."""
    fitting = [one for one in sentences if WORDS[0] <= len(one.split()) <= WORDS[1] and one.isascii()]
    drawn = set(sorted(fitting, key=lambda one: hashlib.sha256(one.encode()).digest())[:SENTENCES])
    return [one for one in fitting if one in drawn]


if __name__ == "__main__":
    raise SystemExit(main())
