"""Runs jobs in forks of one process that has everything imported: reads a request a line, answers a line.

A request is a list [job, inputs, target, kind, n, action]; with the kind -1 it is whether the target opens, with the
kind -2 the job is killed after n microseconds. The answer is [exit code, standard error, calls seen of each kind].
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

from tests.faults.jobs import JOBS, make_inputs

KINDS = ("write", "fsync", "rename", "unlink", "mkdir", "open")
OPENS, KILLED = -1, -2


def answer(job: str, inputs: str, target: str, kind: int, n: int, action: int) -> list[object]:
    with tempfile.TemporaryFile("w+b") as said, tempfile.TemporaryFile("w+b") as seen:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(0, 1)
            sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
            os._exit(_in_child(job, Path(inputs), Path(target), kind, n, action, seen.fileno()))
        if kind == KILLED:
            time.sleep(n / 1e6)
            os.kill(child, signal.SIGKILL)  # it is not waited for yet, so its number is still its own
        _, status = os.waitpid(child, 0)
        said.seek(0)
        seen.seek(0)
        text = said.read().decode("utf-8", "replace")
        return [os.waitstatus_to_exitcode(status), text, json.loads(seen.read() or b"[]")]


def _in_child(job: str, inputs: Path, target: Path, kind: int, n: int, action: int, seen: int) -> int:
    library = ctypes.CDLL(None)
    code = 0
    try:
        if kind == OPENS:
            JOBS[job].opens(target)
        else:
            if kind != KILLED:
                library.fault_set(os.fsencode(target.parent), kind, ctypes.c_long(n), action)
            JOBS[job].run(inputs, target)
    except SystemExit as err:
        code = err.code if isinstance(err.code, int) else 0 if err.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 99
    library.fault_clear()
    os.write(seen, json.dumps([library.fault_seen(i) for i in range(len(KINDS))]).encode())
    return code


def keep_trace(model: Path) -> None:
    """Trace the model that is exported once for all exports: it takes most of their time and writes nothing."""
    from mirrorkit import SentenceEncoder
    from mirrorkit.exporter.graph import trace

    traced = trace._trace(trace._bare_copy(SentenceEncoder.load(model)), trace.DEFAULT_OPSET)
    trace._trace = lambda *_: traced  # a job may change it, being a fork that ends


def main(inputs: Path) -> None:
    import onnxruntime  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import torch

    import mirrorkit.cli.app
    import mirrorkit.demo.run
    import mirrorkit.exporter.adapter.attach
    import mirrorkit.exporter.operators
    import mirrorkit.exporter.pipeline
    import mirrorkit.exporter.triton.repository
    import mirrorkit.finding.search
    import mirrorkit.runtime.files.encode_file
    import mirrorkit.training.finetune  # noqa: F401

    with suppress(ImportError):  # what an export is compared with, where it is installed
        import sentence_transformers  # noqa: F401

    torch.set_num_threads(1)
    keep_trace(inputs / "model")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    print(json.dumps("ready"), file=replies)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), file=replies)


if __name__ == "__main__":
    command, inputs = sys.argv[1:]
    {"make": make_inputs, "serve": main}[command](Path(inputs))
