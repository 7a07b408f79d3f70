"""Open what is to be scored: a bundle with the light runtime, anything else with torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.formats.bundle import is_bundle
from mirrorkit.formats.packed import is_packed
from mirrorkit.paths import local_path
from mirrorkit.runtime.hub import holds_bundle


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
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """Open a bundle without torch, or a model folder or shipped name with it; a hub id may be of either.

    With a `variant`, a folder of ONNX files made by others is opened by the light runtime too.
    `device` auto is, for the light runtime, the CPU. Raises ConfigError for options that do not go together.
    """
    folder = local_path(model)
    if is_bundle(folder) or is_packed(folder) or variant is not None or holds_bundle(model, revision=revision):
        if pooling is not None:
            raise ConfigError("`pooling` is for model folders; the graph of a bundle has its own built in")
        from mirrorkit.runtime.encoder import Encoder

        opened = Encoder(model, variant or "auto", "cpu" if device == "auto" else device, threads, revision=revision)
        return Loaded(opened, opened.folder, opened.variant, opened.dim, opened.max_length)
    if revision is not None:
        raise ConfigError(f"revision {revision!r}: only a bundle on the hub has one, and {model} is not one")
    if threads is not None:
        raise ConfigError(f"`threads` is for bundles, and {model} is a model folder; torch takes OMP_NUM_THREADS")
    from mirrorkit.machine.torch_device import pick_device
    from mirrorkit.model.encoder import SentenceEncoder

    encoder = SentenceEncoder.load(model, pooling=pooling, trust_remote_code=trust_remote_code)
    assert encoder.origin is not None
    folder = encoder.origin.folder
    return Loaded(encoder.to(pick_device(device)), folder, None, encoder.dim, encoder.max_length)
