"""Make the domains: `python -m benchmarks.domains --out FOLDER`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.domains import descriptions, docstrings, kernel, manuals, ontology, wordnet
from benchmarks.domains.entries import Entry
from benchmarks.domains.split import part, write
from mirrorkit.errors import ConfigError

# What yields the entries, and the option that says where from.
DOMAINS: dict[str, tuple[Callable[[Path | None], Iterator[Entry]], str]] = {
    "docstrings": (docstrings.entries, "docstrings"),
    "manuals": (manuals.entries, "manuals"),
    "wordnet": (wordnet.entries, "wordnet"),
    "debian": (partial(descriptions.entries, "en"), "descriptions"),
    "debian-de": (partial(descriptions.entries, "de"), "descriptions"),
    "debian-fr": (partial(descriptions.entries, "fr"), "descriptions"),
    "kernel": (kernel.entries, "kernel"),
    "ontology": (ontology.entries, "ontology"),
}
MOST = 13_000  # documents of a domain


def main() -> int:
    """Write a folder for each domain; what is made is said in a line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.domains", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to, one folder a domain")
    parser.add_argument("--only", choices=list(DOMAINS), action="append", help="make this domain; repeatable")
    parser.add_argument("--docstrings", type=Path, help="folder of packages; default: where they are installed")
    parser.add_argument("--manuals", type=Path, help="folder with man1, man2, …; default: /usr/share/man")
    parser.add_argument("--wordnet", type=Path, help="folder with data.noun, …; default: as installed, or fetched")
    parser.add_argument(
        "--descriptions", type=Path, help="folder with apt's lists, Translation-en, …; default: fetched"
    )
    parser.add_argument("--kernel", type=Path, help="folder of the kernel's documentation, .rst; default: fetched")
    parser.add_argument("--ontology", type=Path, help="GO.sqlite of Bioconductor's GO.db; default: fetched")
    parser.add_argument("--most", type=int, default=MOST, help=f"documents of a domain, drawn by the seed ({MOST})")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for name in options.only or DOMAINS:
        start = time.perf_counter()
        try:
            found, where = DOMAINS[name]
            sides = part(found(getattr(options, where)), options.most, options.seed)
            if not sides.test:
                raise ConfigError(f"{sides.about['kept']} documents are too few to hold any out")
        except ConfigError as err:
            print(f"{name}: not made, {err}", file=sys.stderr)
            failed = True
            continue
        write(sides, options.out / name)
        about = ", ".join(f"{what} {count}" for what, count in sides.about.items())
        print(f"{options.out / name}: {about}; {time.perf_counter() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
