"""Race `mirrorkit serve` on this machine: rates under load, latencies alone and beside a long request, memory, start.

python -m benchmarks.serving BUNDLE --model MODEL                       # ours against Encoder.encode and FastAPI
python -m benchmarks.serving BUNDLE --model MODEL --infinity PYTHON     # and infinity-emb, by the Python that has it

Clients and servers share the machine, so rates are also given against what `Encoder.encode` did right before and after
each, in a process of its own that is kept open: that ratio is what a busy machine disturbs least. Servers take turns,
in rounds. Everything is on loopback.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.serving.load import Tally, load, single_beside_bulk
from mirrorkit.assets.paths import DOCUMENTS
from mirrorkit.machine.facts import usable_cores

LOADS = ((1, 1), (8, 1), (64, 1), (1, 32), (8, 32), (64, 32))  # clients, texts of each request
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Contestant:
    """A server and how it is started."""

    name: str
    model: str  # as clients call it
    command: Callable[[int], list[str]]  # for a port
    form: str = "float"


def main() -> int:
    """Run the rounds and write the record."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__, formatter_class=plain)
    parser.add_argument("bundle", help="folder of a bundle")
    parser.add_argument("--model", help="model folder it was made of, for sentence-transformers and infinity")
    parser.add_argument("--infinity", help="Python of an environment with infinity-emb")
    parser.add_argument("--fastapi", default=sys.executable, help="Python with fastapi and sentence-transformers")
    parser.add_argument("--variants", default="auto,fp32", help="of ours, with commas; default: auto,fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load; default: 5")
    parser.add_argument("--texts", type=int, default=1000, help="titles of documents; default: 1,000")
    parser.add_argument("--bulk", type=int, default=2000, help="texts of the long request; default: 2,000")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path, help="record to write; default: benchmarks/results/serving_*.json")
    args = parser.parse_args()
    texts = _texts(args.texts)
    baselines = {variant: Baseline(args.bundle, variant, texts) for variant in args.variants.split(",")}
    rounds: list[dict[str, Any]] = []
    contestants = _line_up(args)
    out = args.out or files.RESULTS / f"serving_{Path(args.bundle).name}.json"
    try:
        for place in range(args.rounds):
            order = contestants[place % len(contestants) :] + contestants[: place % len(contestants)]
            found: dict[str, Any] = {}
            for one in order:
                found[one.name] = _measure(one, args, texts, baselines)
                print(f"round {place + 1} of {args.rounds}: {one.name}", file=sys.stderr)
            rounds.append(found)
            _write(out, args, texts, rounds)  # a run that is stopped has what it measured
    finally:
        for baseline in baselines.values():
            baseline.close()
    print(table(rounds))
    print(f"wrote {out}")
    return 0


def _write(out: Path, args: argparse.Namespace, texts: Sequence[str], rounds: Sequence[dict[str, Any]]) -> None:
    record = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "note": args.note,
        "hardware": {"cores": usable_cores(), "load_average": os.getloadavg()[0]},
        "versions": {name: _version(name) for name in ("mirrorkit", "onnxruntime", "starlette", "uvicorn")},
        "bundle": Path(args.bundle).name,
        "texts": {"count": len(texts), "characters": round(statistics.fmean(map(len, texts)), 1)},
        "rounds": rounds,
    }
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _texts(count: int) -> list[str]:
    with gzip.open(DOCUMENTS, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["title"] for line in lines][:count]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _line_up(args: argparse.Namespace) -> list[Contestant]:
    variants = args.variants.split(",")

    def ours(variant: str) -> Callable[[int], list[str]]:
        base = [sys.executable, "-m", "mirrorkit", "serve", f"model={args.bundle}", "--variants", variant]
        return lambda port: [*base, "--port", str(port)]

    found = [Contestant(f"mirrorkit {variant}", "model", ours(variant)) for variant in variants]
    found.append(Contestant(f"mirrorkit {variants[0]}, base64", "model", ours(variants[0]), "base64"))
    if args.model:
        script = str(HERE / "fastapi_server.py")
        found.append(Contestant("FastAPI", "model", lambda port: [args.fastapi, script, args.model, str(port)]))
    if args.infinity:
        options = [
            "v2",
            "--model-id",
            args.model,
            "--served-model-name",
            "model",
            "--device",
            "cpu",
            "--url-prefix",
            "/v1",
        ]
        binary = str(Path(args.infinity).with_name("infinity_emb"))
        found.append(Contestant("infinity", "model", lambda port: [binary, *options, "--port", str(port)]))
    return found


class Baseline:
    """`Encoder.encode`, in a process of its own so that nothing of it shares one with the clients."""

    def __init__(self, bundle: str, variant: str, texts: Sequence[str]) -> None:
        command = [sys.executable, "-m", "benchmarks.serving.baseline", bundle, variant]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=files.ROOT
        )
        self._ask(json.dumps(list(texts)))

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def rate(self) -> float:
        """Texts a second, of all texts in one call."""
        return float(self._ask("bulk"))

    def one(self) -> dict[str, float]:
        """Milliseconds of a call with one text: p50, p99."""
        return dict(self._ask("one"))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def _measure(one: Contestant, args: argparse.Namespace, texts: Sequence[str], baselines: dict[str, Baseline]) -> Any:
    variant = next((v for v in baselines if one.name.startswith(f"mirrorkit {v}")), None)
    baseline = baselines[
        variant or ("fp32" if "fp32" in baselines else next(iter(baselines)))
    ]  # others compute in fp32
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    process = subprocess.Popen(one.command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        started = _first_answer(process, address, one, texts[:1], began)
        load(address, one.model, texts, clients=4, each=8, seconds=2, form=one.form)  # warm
        found: dict[str, Any] = {"start_seconds": started, "encoder_one_ms": baseline.one()}
        alone = load(address, one.model, texts, clients=1, each=1, seconds=args.seconds, form=one.form)
        found["alone_ms"] = _milliseconds(alone)
        for clients, each in LOADS:
            before = baseline.rate()
            tally = load(address, one.model, texts, clients=clients, each=each, seconds=args.seconds, form=one.form)
            bulk = (before + baseline.rate()) / 2
            found[f"{clients} x {each}"] = {
                "rate": tally.rate, "of_encode": tally.rate / bulk, **_milliseconds(tally), "failures": tally.failures
            }  # fmt: skip
        single, whole = single_beside_bulk(
            address, one.model, texts, bulk=args.bulk, seconds=2 * args.seconds, form=one.form
        )
        found["beside_bulk_ms"] = {**_milliseconds(single), "bulk_failures": whole.failures}
        found["batch_ms"] = _batch_milliseconds(address)
        found["memory_mb"] = _memory(process.pid)
        return found
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def _first_answer(
    process: subprocess.Popen[bytes], address: str, one: Contestant, texts: Sequence[str], began: float
) -> float:
    """Return the seconds from the command to its first vector."""
    while time.perf_counter() - began < 300:
        if process.poll() is not None:
            raise SystemExit(f"{one.name}: ended with {process.returncode} before it answered")
        with suppress(OSError, EOFError, ValueError):
            if load(address, one.model, texts, clients=1, each=1, seconds=0.001, form=one.form).texts:
                return time.perf_counter() - began
        time.sleep(0.02)
    raise SystemExit(f"{one.name}: did not answer within 300 s")


def _milliseconds(tally: Tally) -> dict[str, float]:
    return {"p50": tally.percentile(50), "p99": tally.percentile(99), "requests": len(tally.latencies)}


def _batch_milliseconds(address: str) -> float | None:
    """Return how long a batch took on average, where the server counts that as ours does."""
    import urllib.request

    with suppress(OSError):
        page = urllib.request.urlopen(f"{address}/metrics", timeout=10).read().decode()
        seconds = re.search(r"^mirrorkit_compute_seconds_total\{.*\} (\S+)$", page, re.MULTILINE)
        batches = re.search(r"^mirrorkit_batches_total\{.*\} (\S+)$", page, re.MULTILINE)
        if seconds and batches:
            return 1000 * float(seconds[1]) / float(batches[1])
    return None


def _memory(pid: int) -> float | None:
    """Return MB of the process, shared pages counted by parts; Linux alone tells."""
    with suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"), re.MULTILINE)
        return int(found[1]) / 1000 if found else None
    return None


def table(rounds: Sequence[dict[str, Any]]) -> str:
    """Return medians over the rounds as a Markdown table."""

    def median(name: str, *path: str) -> str:
        values = []
        for one in rounds:
            value = one[name]
            for key in path:
                value = value[key] if value is not None else None
            values.append(value)
        return f"{statistics.median(values):.2f}" if all(value is not None for value in values) else ""

    names = list(rounds[0])
    rows = [("start, s", ("start_seconds",)), ("Encoder, one text: p50 ms", ("encoder_one_ms", "p50"))]
    rows += [(f"one text alone: {p} ms", ("alone_ms", p)) for p in ("p50", "p99")]
    rows += [(f"one text beside a long request: {p} ms", ("beside_bulk_ms", p)) for p in ("p50", "p99")]
    for clients, each in LOADS:
        key = f"{clients} x {each}"
        rows += [(f"{key}: of encode's rate", (key, "of_encode")), (f"{key}: p99 ms", (key, "p99"))]
    rows.append(("memory, MB", ("memory_mb",)))
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [f"| {title} | " + " | ".join(median(name, *path) for name in names) + " |" for title, path in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
