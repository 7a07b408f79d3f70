"""Measure one candidate in this process: a job as one line of JSON on stdin, its result as one on stdout."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from mirrorkit.errors import ConfigError, MirrorkitError

Job = Mapping[str, Any]

_NO_GAIN = 3  # calls in a row that are no faster than the fastest before them
_GAIN = 0.98
_MANY = 1000  # calls of warming up, at most


def measure_start(job: Job) -> dict[str, Any]:
    """Open the candidate and encode one text; whoever started this process takes the time."""
    order = job["candidate"]
    if not order["file"]:
        from mirrorkit.model.encoder import SentenceEncoder

        encoder = SentenceEncoder.load(order["folder"], trust_remote_code=order["trust_remote_code"])
        vectors = encoder.encode([job["short"]])
    else:
        from mirrorkit.runtime.encoder import Encoder

        light = Encoder(
            order["folder"],
            order["file"],
            threads=job["threads"],
            verify=order["verify"],
            engine=order["engine"],
            precision=order["asked"],
        )
        vectors = light.encode([job["short"]])
    return {"dim": int(vectors.shape[1])}


def measure_speed(job: Job) -> dict[str, Any]:
    """Time the ragged texts, tokenising them alone, one short text, and the grid; memory is that of the texts."""
    from mirrorkit.bench.measure.candidates import candidate_from, full_batch, open_model
    from mirrorkit.bench.measure.machine import resident_bytes
    from mirrorkit.machine.facts import peak_memory_bytes

    model = open_model(candidate_from(job["candidate"]), job["threads"])
    texts, short = job["texts"], job["short"]
    ids = model.ids(texts)

    def timed(call: Callable[[], Any]) -> list[float]:
        return time_calls(call, job["seconds"], job["calls"])

    found: dict[str, Any] = {
        "texts": len(texts),
        "tokens": int(ids.lengths.sum()),
        "short_tokens": int(model.ids([short]).lengths[0]),
        "ragged": timed(lambda: model.encode(texts)),
        "single": timed(lambda: model.encode([short])),
        "tokenise": timed(lambda: model.ids(texts)),
        "resident": resident_bytes(),
        "peak": peak_memory_bytes(),
        "grid": [],
    }
    if found["resident"] is None or found["peak"] is None:
        raise ConfigError(f"{sys.platform}: does not report how much memory a process uses")
    for batch, length in job["shapes"]:
        input_ids, mask = full_batch(ids, batch, length)
        times = timed(lambda ids=input_ids, mask=mask: model.batch(ids, mask))  # type: ignore[misc]
        found["grid"].append({"batch": batch, "length": length, "times": times})
    return found


def measure_gemm(job: Job) -> dict[str, Any]:
    """Return the best rate of matrix products, in operations a second, by who multiplied."""
    from mirrorkit.bench.measure.gemm import SIZES, gemm_peaks

    return dict(gemm_peaks(job["threads"], job["seconds"], job.get("sizes", SIZES)))


TASKS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "start": measure_start,
    "speed": measure_speed,
    "gemm": measure_gemm,
}


def time_calls(call: Callable[[], Any], seconds: float, calls: int, least: int = 3) -> list[float]:
    """Warm up until three calls in a row bring no gain of 2 %, then time calls for `seconds`; at most `calls` of them.

    Warming up ends after `seconds` too, and after one call that takes longer; `least` calls are timed in any case.
    """
    warm_up(call, seconds)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or (len(times) < calls and time.perf_counter() < end):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times


def warm_up(call: Callable[[], Any], seconds: float) -> int:
    """Call until that makes it no faster; return the number of calls."""
    fastest, without_gain = float("inf"), 0
    end = time.perf_counter() + seconds
    for number in range(1, _MANY + 1):
        begin = time.perf_counter()
        call()
        now = time.perf_counter()
        without_gain = 0 if now - begin < fastest * _GAIN else without_gain + 1
        fastest = min(fastest, now - begin)
        if without_gain >= _NO_GAIN or now >= end:
            return number
    return _MANY


def main() -> None:
    """Read a job, measure, write the result; leave without tidying up, which takes some libraries a second."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not mix with the result
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        found = TASKS[job["task"]](job)
    except MirrorkitError as err:
        sys.stderr.write(f"{err}\n")
        sys.stderr.flush()
        os._exit(2)
    out.write(json.dumps(found) + "\n")
    out.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """Wait for the other end of stdin to close, as it does however the parent ends, and end too.

    Not by `sys.stdin`, whose lock the interpreter would want for itself on its way out after an error.
    """
    while os.read(0, 1024):
        pass
    os._exit(3)


if __name__ == "__main__":
    main()
