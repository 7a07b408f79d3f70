"""Which engine runs a folder: ONNX Runtime, TensorRT or OpenVINO. Options are checked before anything opens."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import TOKENIZER, is_bundle, read_bundle
from mirrorkit.formats.packed import is_packed
from mirrorkit.paths import local_path
from mirrorkit.runtime.encoding import Encoding
from mirrorkit.runtime.opening import Opened, open_folder, open_for_engine, plain_instead
from mirrorkit.runtime.ops import BF16, BF16_VARIANT, fused_variant
from mirrorkit.runtime.ort import check_device
from mirrorkit.runtime.pooling import PooledOutside
from mirrorkit.runtime.session import check_threads, open_session
from mirrorkit.runtime.static import open_bag
from mirrorkit.text.windows import LONG

if TYPE_CHECKING:
    from mirrorkit.runtime.openvino.precision import Precision
    from mirrorkit.runtime.tensorrt.options import Tensorrt
    from mirrorkit.runtime.tensorrt.provider import ProviderOptions

log = logging.getLogger(__name__)

ENGINES = ("onnxruntime", "openvino")


def check_engine(engine: str) -> None:
    """Raise ConfigError for an unknown engine."""
    if engine not in ENGINES:
        raise ConfigError(f"engine {engine!r}: must be one of {', '.join(ENGINES)}")


@dataclass(frozen=True)
class How:
    """How a folder is to be run."""

    variant: str
    device: str
    threads: int | None
    verify: bool
    tensorrt: Tensorrt | None = None
    openvino: Precision | None = None  # where OpenVINO runs it
    bf16: bool = False  # where libmirrorkit_ops runs its layers in that
    long: str = "cut"  # what becomes of texts of more tokens than the model takes, one of `LONG`
    graphs: bool = False  # small batches in fixed shapes, by CUDA graphs

    @property
    def precision(self) -> str | None:
        """What was asked for in place of the variant's own, or OpenVINO chose."""
        return str(self.openvino) if self.openvino else BF16 if self.bf16 else None

    @property
    def chooser(self) -> str:
        """The device by whose preferences a bundle chooses a variant."""
        return "openvino" if self.openvino else "tensorrt" if self.tensorrt else self.device


def asked(
    variant: str,
    device: str | None,
    threads: int | None,
    *,
    verify: bool = True,
    tensorrt: Tensorrt | None = None,
    engine: str = "onnxruntime",
    precision: str | None = None,
    long: str = "cut",
    cuda_graphs: bool = False,
) -> How:
    """Return what the options of an Encoder come to; raises ConfigError for those that exclude one another.

    The variant `openvino-fp32` and the like, or `ops-bf16`, as an encoder calls itself, says engine and precision too.
    """
    check_engine(engine)
    if long not in LONG:
        raise ConfigError(f"long {long!r}: must be one of {', '.join(LONG)}")
    onnxruntime = engine == "onnxruntime" and not variant.startswith("openvino-")
    if cuda_graphs and (device != "cuda" or tensorrt is not None or not onnxruntime):
        raise ConfigError("`cuda_graphs=True`: only for ONNX Runtime on a GPU, `device=cuda` without `tensorrt`")
    if onnxruntime:
        cpu = device in (None, "cpu") and tensorrt is None
        fused = fused_variant(variant, precision, cpu=cpu)
        if fused is not None:
            return How(fused, "cpu", threads, verify, bf16=True, long=long)
        return How(
            variant, _device(variant, device, tensorrt), threads, verify, tensorrt, long=long, graphs=cuda_graphs
        )
    if tensorrt is not None:
        raise ConfigError("engine openvino: cannot be combined with TensorRT")
    from mirrorkit.runtime.openvino.precision import DEVICES, asked_for

    wanted = asked_for(variant, precision)
    device = device or "cpu"
    if device not in DEVICES:
        raise ConfigError(f"device {device!r}: OpenVINO runs on one of {', '.join(DEVICES)}")
    check_threads(threads)
    from mirrorkit.runtime.openvino.library import choose

    chosen = choose(device, wanted)
    return How(chosen.graph, device, threads, verify, openvino=chosen, long=long)


def open_encoding(folder: str | Path, how: How) -> Encoding:
    """Open the engine, or else the graph of a variant; raises BundleError, ConfigError."""
    if how.openvino is not None:
        return _open_openvino(folder, how, how.openvino)
    tensorrt = how.tensorrt
    if tensorrt is not None and is_packed(local_path(folder)):
        raise BundleError(f"{folder}: TensorRT needs a bundle's folder; mirrorkit unpack makes one")
    if tensorrt is not None and tensorrt.engine is not None:
        from mirrorkit.runtime.tensorrt.session import open_engine

        bundle = read_bundle(local_path(folder))
        engine = open_engine(local_path(tensorrt.engine), bundle, verify=how.verify, rebuild=tensorrt.rebuild)
        return Encoding(open_for_engine(bundle, engine.file, engine.max_length, verify=how.verify), engine, how.long)
    opened = open_folder(folder, how.variant, how.chooser, verify=how.verify)
    if opened.table is not None and how.device == "cpu":
        check_threads(how.threads)
        return Encoding(opened, open_bag(opened), how.long)
    options = _provider_options(opened, tensorrt) if tensorrt else None
    try:
        session = open_session(
            opened.file,
            device=how.device,
            threads=how.threads,
            tensorrt=options,
            bf16=how.bf16,
            graphs=how.graphs,
        )
    except BundleError as err:
        # A plain graph has no layers for bf16.
        plain = None if how.bf16 else plain_instead(local_path(folder), opened, how.device, verify=how.verify)
        if plain is None:
            raise
        log.warning("%s; running %s instead of %s", err, plain.variant, opened.variant)
        opened, session = plain, open_session(plain.file, device=how.device, threads=how.threads)
    opened = replace(opened, variant=BF16_VARIANT if how.bf16 else opened.variant)
    if session.signature.pooled is None and opened.pooling is not None:
        return Encoding(opened, PooledOutside(session, opened.pooling, normalized=False), how.long)
    if how.graphs and session.signature.pooled is not None:
        from mirrorkit.runtime.fixed import FixedShapes

        return Encoding(opened, FixedShapes(session, opened.max_length, opened.pad_id), how.long)
    return Encoding(opened, session, how.long)


def _open_openvino(folder: str | Path, how: How, precision: Precision) -> Encoding:
    from mirrorkit.runtime.openvino.session import open_graph

    place = local_path(folder)
    if place.is_dir() and not is_bundle(place):
        raise BundleError(f"{folder}: is not a bundle, and OpenVINO runs only bundles here; mirrorkit export makes one")
    if is_packed(place):
        raise BundleError(f"{folder}: OpenVINO needs a bundle's folder; mirrorkit unpack makes one")
    opened = open_folder(folder, how.variant, how.chooser, verify=how.verify)
    session = open_graph(opened, how.device, precision, how.threads)
    return Encoding(replace(opened, variant=precision.variant), session, how.long)


def _provider_options(opened: Opened, tensorrt: Tensorrt) -> ProviderOptions:
    from mirrorkit.runtime.tensorrt.provider import provider_options

    files = [file for file in opened.files if file.name != TOKENIZER]
    return provider_options(files, opened.max_length, local_path(tensorrt.cache) if tensorrt.cache else None)


def _device(variant: str, device: str | None, tensorrt: Tensorrt | None) -> str:
    """Return the device; raises ConfigError for options that exclude one another."""
    engine = tensorrt is not None and tensorrt.engine is not None
    if variant == "tensorrt" and not engine:
        raise ConfigError(
            "variant tensorrt: give the folder of its engine too; mirrorkit engine BUNDLE -o DIR makes one"
        )
    if engine and variant not in ("auto", "tensorrt"):
        raise ConfigError(f"variant {variant}: cannot be combined with an engine, which is the variant tensorrt")
    if device is None:
        return "cuda" if tensorrt else "cpu"
    check_device(device)
    if tensorrt and device != "cuda":
        raise ConfigError(f"device {device}: TensorRT runs only on cuda")
    return device
