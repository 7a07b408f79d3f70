"""Ask a running server for the vectors of texts, in several ways at once, and hold them against those expected."""

# ruff: noqa: T201  (what it prints is its result)
from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

ALLOWED = 1e-5  # any component, between the fp32 graph here and there


def main(work: Path, address: str) -> int:
    """Return the exit status."""
    texts = json.loads((work / "texts.json").read_text(encoding="utf-8"))
    expected = np.load(work / "expected.npy")
    client = triton.InferenceServerClient(address)

    def vectors(rows: list[Any]) -> Any:
        values = np.array([[t.encode() if isinstance(t, str) else t] for t in rows], dtype=object)
        text = triton.InferInput("text", values.shape, "BYTES")
        text.set_data_from_numpy(values)
        return client.infer("served", [text], client_timeout=60).as_numpy("sentence_embedding")

    bad = 0
    for size, callers in ((64, 1), (1, 16), (7, 8)):
        groups = [texts[i : i + size] for i in range(0, len(texts), size)]
        with ThreadPoolExecutor(callers) as pool:
            found = np.concatenate(list(pool.map(vectors, groups)))
        worst = float(np.abs(found - expected).max())
        bad += worst > ALLOWED
        print(f"requests of {size} by {callers} callers: at most {worst:.1e} apart, {ALLOWED:.0e} allowed")
    counts = client.get_inference_statistics("served_encoder").model_stats[0]
    print(f"texts {counts.inference_count}, passes of the encoder {counts.execution_count}")
    bad += counts.execution_count >= counts.inference_count / 2  # requests that never met
    for rows, why in (([b"\xff"], "can't decode"), (texts[:65], "batch-size must be <=")):
        try:
            vectors(rows)
        except InferenceServerException as err:
            bad += why not in str(err)
        else:
            bad += 1
    print("failed" if bad else "passed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
