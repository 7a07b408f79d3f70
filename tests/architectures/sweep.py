"""Take every masked-LM class of the installed transformers through the whole job and write docs/architectures.md.

    python -m tests.architectures.sweep [--only TYPE ...]

With `--only` nothing is written. About five minutes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"


def main(only: list[str]) -> int:
    from mirrorkit.machine.facts import versions
    from tests.architectures.bodies import masked_lm_classes
    from tests.architectures.page import PAGE, write_page
    from tests.architectures.trial import ALLOWED, run_trial

    rows = []
    for kind in only or masked_lm_classes():
        with tempfile.TemporaryDirectory() as work:
            row = run_trial(kind, Path(work))
        rows.append(row)
        print(row, flush=True)
    if not only:
        found = versions("transformers", "torch", "sentence-transformers", "onnxruntime")
        release = found.pop("transformers")
        others = ", ".join(f"{name} {version}" for name, version in found.items())
        about = f"{others}; {platform.machine()}, {datetime.datetime.now(datetime.timezone.utc).date()}."
        write_page(rows, masked_lm_classes(), release, about)
        print(f"wrote {PAGE}")
    apart = [row.kind for row in rows if max(row.saved or 0, row.fp32 or 0) > ALLOWED]
    if apart:
        print(f"other vectors: {', '.join(apart)}")
    return int(bool(apart))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="TYPE", help="leave the others out")
    sys.exit(main(parser.parse_args().only))
