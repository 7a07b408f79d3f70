"""One graph of a bundle, run by OpenVINO: token ids in, sentence vectors out.

It is compiled for latency, all threads on one batch. Where batches are run side by side it is compiled once more for
throughput: OpenVINO then has several streams, each with threads of its own, and callers keep them busy.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import BundleError
from mirrorkit.formats.bundle import TOKENIZER
from mirrorkit.machine.cores import default_threads
from mirrorkit.runtime.opening import Opened
from mirrorkit.runtime.openvino import kept, library
from mirrorkit.runtime.openvino.precision import Precision
from mirrorkit.runtime.runner import GPU_BATCH_TOKENS
from mirrorkit.runtime.session import POOLED, stamp
from mirrorkit.text.ragged import Floats, Ints

BATCH_TOKENS = 1024  # of a batch on a CPU: matrix units want more rows at a time than ONNX Runtime does


def open_graph(opened: Opened, device: str, precision: Precision, threads: int | None = None) -> OpenvinoSession:
    """Open the graph of an opened folder, whose files have been checked, on `cpu`, `gpu` or `npu`."""
    graph = [file for file in opened.files if file.name != TOKENIZER]
    return OpenvinoSession(graph, device, precision, threads)


class OpenvinoSession:
    """An open graph. Threads may share it; a forked child cannot use it.

    `files` are the graph and the files that its weights lie in, by whose content a compiled graph is kept.
    """

    max_rows = None

    def __init__(self, files: Sequence[Path], device: str, precision: Precision, threads: int | None = None) -> None:
        self.file = files[0]
        self.device = device
        self.precision = precision
        self.threads = threads or default_threads()
        # One more than there are streams lays its batch out while they are busy.
        self.callers = self.threads + 1 if device == "cpu" and self.threads > 1 else 1
        self.batch_tokens = BATCH_TOKENS if device == "cpu" else GPU_BATCH_TOKENS
        self._stamps = {file: stamp(file) for file in files}
        self._lock = threading.Lock()
        self._kept = kept.place_for(files, device, precision)
        self._single = _Compiled(self._open(library.LATENCY))
        self._many: _Compiled | None = None
        one = np.ones((1, 1), dtype=np.int64)
        library.first_use(lambda: self._run(self._single, one, one))
        shape = self._single.handle.output(POOLED).get_partial_shape()
        self.dim = int(shape[1].get_length()) if shape[1].is_static else None

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq]."""
        return self._run(self._single, input_ids, attention_mask)

    def for_callers(self) -> _ForCallers:
        """Return the same graph in several streams, for callers that each bring a thread; compiled on first use."""
        with self._lock:
            if self._many is None:
                # With another file in its place by now, the first one has to do: slower, and with the same vectors.
                can = self._kept.is_file() or self._is_the_same()
                self._many = _Compiled(self._open(library.THROUGHPUT)) if can else self._single
            return _ForCallers(self, self._many)

    def _open(self, hint: str) -> Any:
        def make() -> Any:
            if not self._is_the_same():
                raise BundleError(f"{self.file}: has been replaced since it was opened; open it anew")
            return self._compile(library.read(self.file), hint)

        def reopen(blob: bytes) -> Any:
            return self._compile(blob, hint)

        return kept.opened(self._kept, make, reopen, library.exported)

    def _is_the_same(self) -> bool:
        """Return whether the files on the disk are those that were opened."""
        return all(stamp(file) == before for file, before in self._stamps.items())

    def _compile(self, source: Any, hint: str) -> Any:
        return library.compile_graph(source, self.file, self.device, self.precision, hint, self.threads)

    def _run(self, compiled: _Compiled, input_ids: Ints, attention_mask: Ints) -> Floats:
        library.core()  # which refuses a forked child
        try:
            return compiled.run(input_ids, attention_mask)
        except Exception as err:  # OpenVINO's errors have no common base
            shape = " x ".join(map(str, input_ids.shape))
            raise BundleError(f"{self.file}: failed on a batch of {shape} tokens ({library.reason(err)})") from err


class _ForCallers:
    """A graph in several streams."""

    def __init__(self, session: OpenvinoSession, compiled: _Compiled) -> None:
        self._session, self._compiled = session, compiled

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        return self._session._run(self._compiled, input_ids, attention_mask)


class _Compiled:
    """A compiled graph with the requests of those who use it: each serves one caller at a time."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self._idle: list[Any] = []

    def run(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        try:
            request = self._idle.pop()
        except IndexError:
            request = library.held(self.handle.create_infer_request())
        ids, mask = (np.ascontiguousarray(array, dtype=np.int64) for array in (input_ids, attention_mask))
        request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
        vectors = np.array(request.get_tensor(POOLED).data, dtype=np.float32)
        self._idle.append(request)
        return vectors
