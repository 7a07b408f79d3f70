"""Send a server very many texts and watch its memory; then leave it alone and watch what it does with the processor.

python -m benchmarks.serving.soak BUNDLE --texts 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.serving.load import Client
from mirrorkit.assets.paths import DOCUMENTS


def main() -> int:
    """Print memory after each tenth, and the processor time of an idle server."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.soak", description=__doc__, formatter_class=plain
    )
    parser.add_argument("bundle", help="folder of a bundle")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds; default: 20")
    args = parser.parse_args()
    with gzip.open(DOCUMENTS, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["title"] for line in lines]
    command = [sys.executable, "-m", "mirrorkit", "serve", f"model={args.bundle}", "--port", "0", "--truncate"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+:\d+", process.stderr.readline())
        assert found
        for tenth in range(11):
            if tenth:
                asyncio.run(_send(found[0], texts, args.texts // 10, args.clients, seed=tenth))
            print(f"{tenth * args.texts // 10:9,} texts: {_memory(process.pid):.1f} MB", flush=True)
        before = _processor_seconds(process.pid)
        time.sleep(args.idle)
        spent = _processor_seconds(process.pid) - before
        print(f"idle: {spent:.2f} s of the processor in {args.idle:g} s")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    return 0


async def _send(address: str, texts: list[str], count: int, clients: int, *, seed: int) -> None:
    """Send texts, a random number at a time, one in fifty of them far longer than the rest."""
    left = count
    chosen = random.Random(seed)

    async def ask() -> None:
        nonlocal left
        client = Client(address, "model", "base64")
        await client.open()
        while left > 0:
            size = min(left, chosen.choice((1, 1, 8, 64, 500)))
            left -= size
            sent = [text if chosen.random() < 0.98 else text * 30 for text in chosen.choices(texts, k=size)]
            status = await client.post(sent)
            assert status == 200, status
        client.close()

    await asyncio.gather(*(ask() for _ in range(clients)))


def _memory(pid: int) -> float:
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"), re.MULTILINE)
    assert found
    return int(found[1]) / 1000


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    raise SystemExit(main())
