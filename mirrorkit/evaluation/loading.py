"""Open what is to be scored: a bundle with the light runtime, anything else with torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mirrorkit.bundle import is_bundle
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.paths import local_path


@dataclass(frozen=True)
class Loaded:
    encoder: TextEncoder
    folder: Path
    variant: str | None  # which graph of a bundle; None where torch runs the model
    dim: int
    max_length: int  # tokens


def load_encoder(
    model: str | Path,
    *,
    pooling: str | None = None,
    device: str = "auto",
    variant: str | None = None,
    threads: int | None = None,
) -> Loaded:
    """Open a bundle without torch, or a model folder, shipped name or hub id with it.

    With a `variant`, a folder that is no bundle is opened by the light runtime too: an ONNX folder made by others.
    `device` auto is, for the light runtime, the CPU. Raises ConfigError for options that do not go together.
    """
    folder = local_path(model)
    if is_bundle(folder) or variant is not None:
        if pooling is not None:
            raise ConfigError("--pooling is for model folders; the graph of a bundle has its own built in")
        from mirrorkit.runtime.encoder import Encoder

        opened = Encoder(folder, variant or "auto", "cpu" if device == "auto" else device, threads)
        return Loaded(opened, folder, opened.variant, opened.dim, opened.max_length)
    if threads is not None:
        raise ConfigError(f"--threads is for bundles, and {model} is none; torch takes OMP_NUM_THREADS")
    from mirrorkit.device import pick_device
    from mirrorkit.hub import locate_model
    from mirrorkit.model import SentenceEncoder

    located = locate_model(model)
    encoder = SentenceEncoder.load(located, pooling=pooling).to(pick_device(device))
    return Loaded(encoder, located, None, encoder.dim, encoder.max_length)
