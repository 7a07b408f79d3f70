"""What an Encoder needs to know of a folder: one of our bundles, or an ONNX export that others made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import TOKENIZER, Bundle, Graph, Precision, Variant, check_file, is_bundle, read_bundle
from mirrorkit.formats.fields import Ranges
from mirrorkit.formats.onnx_paths import check_graph_paths
from mirrorkit.formats.packed import content, is_packed
from mirrorkit.formats.pooling import Pooling
from mirrorkit.formats.usage import Usage
from mirrorkit.paths import local_path
from mirrorkit.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

# What runs standard operators alone: its name, and the graphs that it is given.
_PLAIN_ONLY = {"tensorrt": ("TensorRT", "fp16 or fp32"), "openvino": ("OpenVINO", "fp32 or int8")}


@dataclass(frozen=True)
class Opened:
    """A folder, the graph chosen in it, and how to feed that graph."""

    variant: str
    file: Path
    tokenizer: Tokenizer
    max_length: int
    pad_id: int
    dim: int | None  # None: the graph has to say
    usage: Usage  # prompts, and what can be said of the graph's vectors
    files: tuple[Path, ...]  # all that decides the vectors: graph, weights beside it, tokenizer
    unit_length: bool = False  # whether vectors are to be brought to unit length, which the graph does not do
    pooling: str | None = None  # of token vectors, where the graph has nothing else and the folder says how
    truncate_dim: int | None = None  # leading components that are kept, where the graph gives all
    table: Path | None = None  # of a static variant: its token vectors, which the graph has its weights from
    pooled_by: str | None = None  # how token vectors become one, in the graph or not, where the folder says
    ranges: Ranges | None = None  # lowest and highest value of each component over the calibration texts
    truncate_dims: tuple[int, ...] = ()  # lengths that the model was trained to be cut to, the shortest first
    hashes: Mapping[Path, str] = field(default_factory=dict)  # SHA-256 of those files that were held against it


def open_folder(name: str | Path, variant: str, device: str, *, verify: bool) -> Opened:
    """Read a bundle, a packed one too, or a foreign folder and choose a variant; nothing is fetched.

    `device` is `cpu`, `cuda`, `tensorrt` for ONNX Runtime's provider of that name, or `openvino`. Raises BundleError
    for a folder that cannot be used, ConfigError for a variant that it lacks.
    """
    folder = _folder(name)
    if is_packed(folder):
        return choose_variant(read_bundle(folder, packed=True), variant, device, verify=verify)
    if is_bundle(folder):
        return choose_variant(read_bundle(folder), variant, device, verify=verify)
    return _open_foreign(folder, variant)


def choose_variant(bundle: Bundle, wanted: str, device: str, *, verify: bool) -> Opened:
    """Choose a variant of a bundle that has been read; `device` and errors are those of `open_folder`."""
    folder = bundle.folder
    if bundle.pooling == Pooling.MEAN_PADDED:
        raise BundleError(f"{folder}: pooling {bundle.pooling} depends on the padding of a batch; export with another")
    chosen = bundle.choose(wanted, device)
    if device in _PLAIN_ONLY and chosen.precision is Precision.STATIC:
        raise ConfigError(
            f"variant {chosen.name}: is a table that the processor adds up, and nothing for {_PLAIN_ONLY[device][0]}"
        )
    if device in _PLAIN_ONLY and chosen.graph is not Graph.ONNX:
        name, plain = _PLAIN_ONLY[device]
        raise ConfigError(
            f"variant {chosen.name}: has operators that only ONNX Runtime knows, so {name} cannot run it; "
            f"use {plain}, the plain graphs"
        )
    names = (chosen.file, *chosen.data_files, TOKENIZER)
    for name in names:
        check_file(bundle, name, hashed=verify)
    if not verify:
        _tell_unverified(folder)
        return open_variant(bundle, chosen)
    hashes = {bundle.path(name): bundle.files[name].sha256 for name in names}
    return replace(open_variant(bundle, chosen), hashes=hashes)


def _tell_unverified(folder: Path) -> None:
    log.warning("%s: files are not checked against their recorded hashes, so damage and tampering go unnoticed", folder)


def open_variant(bundle: Bundle, chosen: Variant) -> Opened:
    """Return what feeds a variant whose files have been checked; raises BundleError for a bundle without padding."""
    tokenizer = tokenizer_of(bundle)
    if not tokenizer.knows(bundle.pad_token_id):
        raise BundleError(f"{bundle.folder}: pad_token_id {bundle.pad_token_id} is not a token of {TOKENIZER}")
    files = tuple(bundle.path(name) for name in (chosen.file, *chosen.data_files, TOKENIZER))
    return Opened(
        variant=chosen.name,
        file=files[0],
        tokenizer=tokenizer,
        max_length=bundle.max_length,
        pad_id=bundle.pad_token_id,
        dim=bundle.dim_of(chosen),
        usage=bundle.usage,
        files=files,
        table=_table_of(bundle, chosen),
        pooled_by=Pooling.MEAN if chosen.precision is Precision.STATIC else bundle.pooling,
        ranges=bundle.ranges_of(chosen),
        truncate_dims=bundle.truncate_dims_of(chosen),
    )


def _table_of(bundle: Bundle, variant: Variant) -> Path | None:
    if variant.precision is not Precision.STATIC:
        return None
    if len(variant.data_files) != 1:
        raise BundleError(f"{bundle.folder}: the variant {variant.name} must have one file of token vectors")
    return bundle.path(variant.data_files[0])


def plain_instead(folder: Path, opened: Opened, device: str, *, verify: bool) -> Opened | None:
    """Return the graph that holds the weights of a fused one whose files are links, as in the hub's cache; else None.

    There are releases of ONNX Runtime that open no weights through a link.
    """
    if not opened.file.is_symlink() or not is_bundle(folder):
        return None
    bundle = read_bundle(folder)
    fused = bundle.variants.get(opened.variant)
    sources = (v for v in bundle.variants.values() if fused is not None and v.file in fused.data_files)
    source = next((v for v in sources if not v.data_files), None)
    return None if source is None else choose_variant(bundle, source.file, device, verify=verify)


def open_for_engine(bundle: Bundle, engine: Path, max_length: int, *, verify: bool) -> Opened:
    """Return what feeds `engine`, the file of an engine that takes `max_length` tokens, from the bundle it is of."""
    check_file(bundle, TOKENIZER, hashed=verify)
    if not verify:
        _tell_unverified(engine.parent)
    return Opened(
        variant="tensorrt",
        file=engine,
        tokenizer=tokenizer_of(bundle, max_length),
        max_length=max_length,
        pad_id=bundle.pad_token_id,
        dim=bundle.dim,
        usage=bundle.usage,
        files=(engine, bundle.path(TOKENIZER)),
        pooled_by=bundle.pooling,
        ranges=bundle.scalar_ranges,
        truncate_dims=bundle.truncate_dims,
    )


def tokenizer_of(bundle: Bundle, max_length: int | None = None) -> Tokenizer:
    """Return the tokenizer of a bundle, which cuts at the bundle's own length unless another is given."""
    side, file = bundle.usage.truncation_side, bundle.path(TOKENIZER)
    packed = content(file)
    whole = None if packed is None else bytes(packed)
    return Tokenizer(file, max_length or bundle.max_length, content=whole, truncation_side=side)


def unpooled(bundle: Bundle) -> int:
    """Return how many tokens at the start of a text that comes without a prompt are left out of pooling."""
    return 0 if bundle.usage.include_prompt else tokenizer_of(bundle).prompt_length(bundle.usage.prompt())


def _folder(name: str | Path) -> Path:
    folder = local_path(name)
    if not folder.exists():
        from mirrorkit.publish import repair

        repair(folder)
    if not folder.is_dir() and not is_packed(folder):
        what = "is a file that mirrorkit pack did not write" if folder.exists() else "no such folder"
        raise BundleError(
            f"{name}: {what}; give the folder of a bundle, its file as mirrorkit pack writes it, or its hub id"
        )
    return folder


def _open_foreign(folder: Path, wanted: str) -> Opened:
    from mirrorkit.runtime.foreign import open_foreign, wants_unit_length  # which our own bundles do without

    found = open_foreign(folder, wanted)
    layout = found.layout
    return Opened(
        found.variant,
        found.file,
        found.tokenizer,
        found.max_length,
        found.pad_id,
        None,
        found.usage,
        (found.file, *check_graph_paths(found.file), folder / TOKENIZER),
        wants_unit_length(layout),
        layout.pooling if layout.pools_only and layout.named else None,
        layout.truncate_dim,
        pooled_by=layout.pooling if layout.named else None,
    )
