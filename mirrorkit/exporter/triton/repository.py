"""A bundle as a model repository for NVIDIA Triton: an ensemble that takes text and gives vectors.

The repository holds three models: NAME, the ensemble that clients call; NAME_tokenizer, a step in Python; and
NAME_encoder, an ONNX graph of the bundle or a TensorRT engine of it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mirrorkit.errors import BundleError, ConfigError, OutputError
from mirrorkit.exporter.triton import config
from mirrorkit.formats.bundle import INPUTS, TOKENIZER, Bundle
from mirrorkit.formats.engine import Backend, Engine, check_engine, read_engine
from mirrorkit.formats.onnx_paths import check_graph_paths
from mirrorkit.paths import local_path
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.runtime.hub import is_hub_id, open_bundle
from mirrorkit.runtime.opening import choose_variant
from mirrorkit.text.tokenizer import Tokenizer

MANIFEST = "triton.json"
DEFAULT_BATCH = 64  # texts
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_WARMUP_TEXT = "What is read before the first request comes."


@dataclass(frozen=True)
class TritonResult:
    """A repository as it was written."""

    repository: str
    model: str  # the one that clients call
    platform: str
    variant: str  # of the bundle, or `tensorrt`
    engine_version: str | None  # of TensorRT; the server's must be the same
    dim: int
    max_batch: int
    max_length: int  # tokens; longer text is cut
    widths: Sequence[int]  # tokens

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "widths": list(self.widths)}

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to read of it."""
        limits = f"up to {self.max_batch} texts of {self.max_length} tokens, {self.dim} dimensions"
        yield f"wrote {self.repository}: model {self.model}, {self.variant} on {self.platform}, {limits}"
        if self.engine_version:
            yield f"  needs a Triton release with TensorRT {self.engine_version}"


def write_repository(
    bundle: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    variant: str = "auto",
    engine: str | Path | None = None,
    device: str = "cuda",
    max_batch: int | None = None,
    instances: int = 1,
    overwrite: bool = False,
) -> TritonResult:
    """Write a Triton model repository of `bundle` to the folder `out`, whole or not at all.

    `name` (default: that of the bundle's folder) is the model that clients call. `device`, cuda or cpu, is where the
    encoder's `instances` run, and what `variant` auto is chosen for. With `engine`, the folder of a TensorRT engine of
    this bundle, that is the encoder. Raises BundleError for a bundle or engine that cannot be used, ConfigError for
    options that do not go together, OutputError where nothing can be written.
    """
    opened, out = open_bundle(bundle), local_path(out)
    if out.resolve().is_relative_to(opened.folder.resolve()):
        raise OutputError(f"{out}: is inside the bundle; write the repository beside it")
    _refuse_usage(opened)
    home = str(bundle).partition("/")[2] if is_hub_id(bundle) else opened.folder.resolve().name
    name = _checked_name(name or home)
    if device not in config.KINDS:
        raise ConfigError(f"device {device!r}: must be one of {', '.join(config.KINDS)}")
    for what, number in (("max_batch", max_batch), ("instances", instances)):
        if number is not None and number < 1:
            raise ConfigError(f"{what} {number}: must be at least 1")
    source = _of_engine(opened, engine, variant, device) if engine else _of_graph(opened, variant, device)
    served = _served(opened, source, name, device, max_batch, instances)
    check_target(out, overwrite=overwrite, needs_bytes=sum(file.stat().st_size for file in source.files) + (8 << 20))
    result = TritonResult(
        str(out),
        name,
        served.platform,
        source.variant,
        source.engine.version if source.engine else None,
        served.dim,
        served.max_batch,
        served.max_length,
        served.widths,
    )
    with publish_folder(out, overwrite=overwrite) as draft:
        _write(draft, opened, served, source)
        record = {"bundle": home, **result.as_dict()}
        del record["repository"]
        _save(draft / MANIFEST, json.dumps(record, indent=2) + "\n")
    return result


@dataclass(frozen=True)
class _EncoderFiles:
    variant: str
    platform: str
    dim: int  # of its vectors
    files: tuple[Path, ...]  # the first is what the server loads, the others lie beside it
    engine: Engine | None = None

    @property
    def file(self) -> str:
        """Return the name that the first file goes by in the repository.

        A graph keeps its own, as a fused one is beside the file that it reads weights from.
        """
        return "model.plan" if self.engine else self.files[0].name


def _refuse_usage(bundle: Bundle) -> None:
    """Raise BundleError for a bundle whose texts need more than to be tokenised."""
    usage = bundle.usage
    if usage.prompt() or usage.truncation_side != "right":
        what = f"default prompt {usage.prompt()!r}" if usage.prompt() else "truncation on the left"
        raise BundleError(
            f"{bundle.folder}: the model has a {what}, which the tokenizer step of a Triton repository does not apply"
        )


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name {name!r}: may hold letters, digits, '_', '-', '.'; the first a letter or a digit")
    return name


def _of_graph(bundle: Bundle, variant: str, device: str) -> _EncoderFiles:
    opened = choose_variant(bundle, variant, device, verify=True)
    files = tuple(file for file in opened.files if file != bundle.path(TOKENIZER))
    for data in check_graph_paths(opened.file):  # or the server would be the one to open it
        if data not in files:
            raise BundleError(f"{opened.file}: reads weights from {data.name}, which the bundle does not name for it")
    return _EncoderFiles(opened.variant, "onnxruntime_onnx", opened.dim or bundle.dim, files)


def _of_engine(bundle: Bundle, folder: str | Path, variant: str, device: str) -> _EncoderFiles:
    if variant not in ("auto", "tensorrt"):
        raise ConfigError(f"variant {variant}: cannot be combined with an engine, which is the variant tensorrt")
    if device != "cuda":
        raise ConfigError(f"device {device}: an engine runs only on cuda")
    engine = read_engine(local_path(folder))
    check_engine(engine, bundle=bundle)
    if engine.backend is not Backend.TENSORRT:
        raise ConfigError(
            f"{engine.folder}: was built by {engine.backend}, which no Triton server runs; "
            f"build one with mirrorkit engine and the backend tensorrt"
        )
    return _EncoderFiles("tensorrt", "tensorrt_plan", engine.dim, (engine.path,), engine)


def _served(
    bundle: Bundle, source: _EncoderFiles, name: str, device: str, max_batch: int | None, instances: int
) -> config.ServedModel:
    max_length, all_widths, most = bundle.max_length, config.widths(bundle.max_length), None
    if source.engine:
        profiles = source.engine.profiles
        max_length = min(max_length, max(profile.max.length for profile in profiles))
        all_widths = config.engine_widths(profiles, max_length)
        most = config.engine_batch(profiles, all_widths)
        if max_batch is not None and max_batch > most:
            raise ConfigError(
                f"max_batch {max_batch}: the engine takes batches of 1 to {most} at every length of "
                f"{all_widths[0]} to {max_length} tokens, and Triton asks for all of them; must be at most {most}"
            )
    return config.ServedModel(
        name=name,
        platform=source.platform,
        file=source.file,
        dim=source.dim,
        ids=str(source.engine.ids) if source.engine else "int64",
        max_batch=max_batch or most or DEFAULT_BATCH,
        max_length=max_length,
        widths=all_widths,
        pad_id=bundle.pad_token_id,
        kind=config.KINDS[device],
        instances=instances,
        profiles=len(source.engine.profiles) if source.engine else 0,
    )


def _write(folder: Path, bundle: Bundle, served: config.ServedModel, source: _EncoderFiles) -> None:
    for model, text in (
        (served.name, config.ensemble(served)),
        (served.tokenizer, config.tokenizer(served)),
        (served.encoder, config.encoder(served)),
    ):
        (folder / model / "1").mkdir(parents=True)
        _save(folder / model / "config.pbtxt", text)
    _save(folder / served.name / "1" / ".keep", "")  # git and object stores lose an empty folder, and Triton wants it
    tokenizer, encoder = folder / served.tokenizer, folder / served.encoder
    shutil.copyfile(Path(__file__).with_name("tokenizer_step.py"), tokenizer / "1" / "model.py")
    shutil.copyfile(bundle.path(TOKENIZER), tokenizer / "1" / TOKENIZER)
    shutil.copyfile(source.files[0], encoder / "1" / served.file)
    for file in source.files[1:]:
        shutil.copyfile(file, encoder / "1" / file.name)
    _write_warmup(tokenizer / "warmup", encoder / "warmup", bundle, served)


def _write_warmup(tokenizer: Path, encoder: Path, bundle: Bundle, served: config.ServedModel) -> None:
    """Write one row of each input as Triton reads it: numbers as they lie in memory, text after its length in bytes."""
    tokenizer.mkdir()
    encoder.mkdir()
    text = _WARMUP_TEXT.encode()
    (tokenizer / config.TEXT).write_bytes(len(text).to_bytes(4, "little") + text)
    width = served.widths[0]
    ids = Tokenizer(bundle.path(TOKENIZER), served.max_length).ids([_WARMUP_TEXT])[0][:width]
    row = np.full(width, served.pad_id, dtype=served.ids)
    row[: len(ids)] = ids
    mask = (np.arange(width) < len(ids)).astype(served.ids)
    for name, values in zip(INPUTS, (row, mask), strict=True):
        (encoder / name).write_bytes(values.tobytes())


def _save(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")
