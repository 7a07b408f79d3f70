"""Time `Encoder.encode` when told to, line by line: texts first, then `bulk` or `one`; for `benchmarks.serving`."""

from __future__ import annotations

import json
import statistics
import sys
import time

from mirrorkit import Encoder


def main() -> None:
    """Answer each line with figures."""
    encoder = Encoder(sys.argv[1], sys.argv[2])
    texts = json.loads(sys.stdin.readline())
    encoder.encode(texts)
    print("true", flush=True)
    for line in sys.stdin:
        if line.strip() == "bulk":
            began = time.perf_counter()
            encoder.encode(texts)
            print(len(texts) / (time.perf_counter() - began), flush=True)
            continue
        spent = []
        for text in texts[:200]:
            began = time.perf_counter()
            encoder.encode([text])
            spent.append(1000 * (time.perf_counter() - began))
        figures = {"p50": statistics.median(spent), "p99": sorted(spent)[int(0.99 * len(spent))]}
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
