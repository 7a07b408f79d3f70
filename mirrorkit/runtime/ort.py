"""Open graphs in ONNX Runtime. Every session of the package is made here, whoever runs it."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mirrorkit.errors import BundleError, ConfigError, MirrorkitError
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.formats.onnx_paths import check_graph_paths, packed_weights
from mirrorkit.formats.packed import content, packed_in
from mirrorkit.machine.cores import default_threads
from mirrorkit.runtime.ops import no_layer, rewritten

if TYPE_CHECKING:
    from mirrorkit.runtime.tensorrt.provider import ProviderOptions

DEVICES = ("cpu", "cuda")
CPU = "CPUExecutionProvider"
SPIN_MICROSECONDS = 20  # longer than the gaps between operators, shorter than anything else is kept waiting for
_TIMED_SPINNING = (1, 26)  # the release of ONNX Runtime whose threads can spin for a set time; older ones ignore it
# Sessions that a forked child would inherit, and the files beside the graph that each has mapped into its memory.
_LIVE: weakref.WeakKeyDictionary[Any, tuple[Path, ...]] = weakref.WeakKeyDictionary()
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"  # of a graph that is given as bytes
# Else ONNX Runtime, 1.31 at least, makes products of integers of those of FP8, and rejects its own graph.
_QUANTIZERS_APART = "session.disable_quant_qdq"
_FATAL = 4  # severity from which ONNX Runtime logs; whatever goes wrong is raised as an error


def check_device(device: str) -> None:
    """Raise ConfigError for a device that no backend here is for."""
    if device not in DEVICES:
        raise ConfigError(f"device {device!r}: must be one of {', '.join(DEVICES)}")


def open_graph(source: Path | bytes, *, threads: int | None = None, optimized: Path | None = None) -> Any:
    """Return an InferenceSession on the CPU for a look at any graph: a file, or a serialised model.

    `threads` None means the physical cores. The graph as ONNX Runtime optimises it is written to `optimized`, its
    weights in a file beside it. Raises BundleError for a graph that cannot be opened.
    """
    ort = require("onnxruntime", extra="onnx")
    options = _options(ort, threads or default_threads())
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
        # Weights apart: a model of more than two gigabytes could not be written in one file.
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
    return _start(ort, source, options, [CPU])


def open_for_batches(
    file: Path,
    device: str,
    threads: int,
    tensorrt: ProviderOptions | None = None,
    *,
    ops: bool = False,
    bf16: bool = False,
    graphs: bool = False,
    float8: bool = False,
) -> Any:
    """Return an InferenceSession that is to run many batches of different shapes.

    With `ops` libmirrorkit_ops runs layers on the CPU, where there is that library and it finds any, and with `bf16`
    multiplies fp32 ones in that. With `graphs` runs on a GPU are captured as CUDA graphs. A graph of FP8 has to be said
    to be one.
    """
    ort = require("onnxruntime", extra="onnx-gpu" if device == "cuda" else "onnx")
    options = _options(ort, threads)
    if float8:
        options.add_session_config_entry(_QUANTIZERS_APART, "1")
    _limit_spinning(ort, options)
    options.enable_mem_pattern = False  # plans memory per shape, and here every batch has another
    if device == "cuda":
        return _gpu_session(ort, file, options, tensorrt, graphs=graphs)
    return _start(ort, file, options, [CPU], ops=ops, bf16=bf16)


def _options(ort: ModuleType, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    return options


def _start(
    ort: ModuleType,
    source: Path | bytes,
    options: Any,
    providers: list[Any],
    *,
    ops: bool = False,
    bf16: bool = False,
) -> Any:
    """Make the session. Left to fall back to the CPU, ONNX Runtime would print that on stdout and go on."""
    data = check_graph_paths(source)
    where: str | bytes = source if isinstance(source, bytes) else str(source)
    packed = None if isinstance(source, bytes) else packed_in(source)
    kept: tuple[memoryview, ...] = ()
    if packed is not None:
        assert isinstance(source, Path)
        where, kept = _from_memory(ort, source, options)
        data = (packed[0],)
    layers, folder = None, ""
    apart = data if packed is None else kept
    if ops and apart and isinstance(source, Path):  # a graph with all its weights inside has not been fused
        layers = rewritten(source, where if isinstance(where, bytes) else None, bf16=bf16)
        folder = str(source.parent)
    if bf16 and layers is None:
        raise no_layer(source if isinstance(source, Path) else Path())
    try:
        if layers is not None:
            options.register_custom_ops_library(str(layers.library))
            if packed is None:
                options.add_session_config_entry(_WEIGHTS_FOLDER, folder)
            where = layers.graph
        handle = ort.InferenceSession(where, options, providers=providers, enable_fallback=0)
    except Exception as err:  # ONNX Runtime's own types have no common base
        name = "a graph in memory" if isinstance(source, bytes) else source
        raise BundleError(f"{name}: cannot be opened by ONNX Runtime {ort.__version__} ({reason(err)})") from err
    _LIVE[handle] = data
    if packed is not None:
        handle.kept_by_mirrorkit = kept  # mapped for as long as the session lives
        handle._model_bytes = None  # a copy of the whole graph that it would keep for a fallback, which it has not
    return handle


def _from_memory(ort: ModuleType, graph: Path, options: Any) -> tuple[bytes, tuple[memoryview, ...]]:
    """Hand over the weights of a graph inside a packed bundle; return the graph, and what has to stay mapped."""
    found = content(graph)
    assert found is not None
    # Whatever the bytes are like: ONNX Runtime's own format is not looked through here.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    weights = packed_weights(graph)
    if weights:
        add = getattr(options, "add_external_initializers_from_files_in_memory", None)
        if add is None:
            raise BundleError(
                f"{graph}: has weights in another file, which ONNX Runtime {ort.__version__} cannot take from memory; "
                "upgrade onnxruntime, or make a folder of it: mirrorkit unpack"
            )
        files = list(weights.values())
        add(list(weights), files, [len(file) for file in files])
    return bytes(found), tuple(weights.values())


def data_files(handle: Any) -> tuple[Path, ...]:
    """Return the files beside the graph that a session has its weights from."""
    return _LIVE[handle]


def _keep_inherited() -> None:
    """Let no session be freed in a forked child: it would wait for its threads, which a fork does not bring along."""
    import ctypes

    for handle in list(_LIVE):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)


def _limit_spinning(ort: ModuleType, options: Any) -> None:
    """Let idle threads spin from one operator to the next and no longer, where ONNX Runtime can be told so.

    To sleep and be woken at each operator is a third of a short text's time. But a thread that spins takes the core
    from whoever else needs it, other callers of this session too, and by default it does so for milliseconds.
    """
    key = "session.intra_op."
    if tuple(int(part) for part in ort.__version__.split(".")[:2]) >= _TIMED_SPINNING:
        options.add_session_config_entry(key + "spin_duration_us", str(SPIN_MICROSECONDS))
    else:
        options.add_session_config_entry(key + "allow_spinning", "0")


def _gpu_session(ort: ModuleType, file: Path, options: Any, tensorrt: ProviderOptions | None, *, graphs: bool) -> Any:
    from mirrorkit.runtime.tensorrt import provider as gpu

    gpu.check_build(ort, tensorrt)
    with gpu.libraries(ort, tensorrt), gpu.alone_in(tensorrt.cache if tensorrt else None):
        try:
            handle = _start(ort, file, options, gpu.providers(tensorrt, graphs=graphs))
        except MirrorkitError:
            if tensorrt and file.is_file():
                gpu.check_libraries(ort)  # a library that is missing says more
            raise
    gpu.check_started(ort, handle.get_providers(), tensorrt)
    return handle
