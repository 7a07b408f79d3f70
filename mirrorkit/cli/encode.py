"""Use a bundle: `encode`, `similarity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirrorkit.cli.command import OUTPUT, RUN, Delimiter, Encoding, Header, Json, TextColumn, command, option
from mirrorkit.errors import ConfigError
from mirrorkit.terminal.console import live_progress, print_json, show, stdout

_RT = "TensorRT"
ENGINES = ("onnxruntime", "openvino")  # a folder of such a name can be given as ./openvino
Precision = Annotated[
    str | None, option(RUN, "Of OpenVINO: fp32, bf16 or int8; default: bf16 where the processor has it, else fp32.")
]
_VECTORS = "What the vectors are"

if TYPE_CHECKING:
    from mirrorkit.runtime.tensorrt.options import Tensorrt


@command
def encode(
    bundle: Annotated[
        str, typer.Argument(help="Folder of a bundle or of an ONNX export made by others, or a hub id of a bundle.")
    ],
    texts: Annotated[
        str,
        typer.Argument(
            help="File of text, csv, tsv, json, jsonl (also .gz .bz2 .xz .zst), parquet or arrow, or - for stdin."
        ),
    ],
    out: Annotated[Path, option(OUTPUT, "File to write: .npy, .jsonl or .parquet.", "--out", "-o")],
    variant: Annotated[str, option(RUN, "auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    device: Annotated[
        str | None, option(RUN, "cpu or cuda; default: cuda where TensorRT is asked for. Of OpenVINO: cpu, gpu or npu.")
    ] = None,
    provider: Annotated[
        str | None, option(_RT, "tensorrt: ONNX Runtime's own, which builds engines as needed.")
    ] = None,
    engine: Annotated[
        str | None, option(RUN, "onnxruntime (default), openvino, or the folder of a TensorRT engine of BUNDLE.")
    ] = None,
    precision: Precision = None,
    rebuild: Annotated[
        bool, option(_RT, "Rebuild the engine where it does not fit this machine.", "--rebuild")
    ] = False,
    engine_cache: Annotated[Path | None, option(_RT, "Where the provider keeps its engines.")] = None,
    revision: Annotated[str | None, option(RUN, "Branch, tag or commit, of a hub id.")] = None,
    threads: Annotated[int | None, option(RUN, "Default: the physical cores.")] = None,
    text_column: TextColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    header: Header = None,
    prompt: Annotated[str | None, option(_VECTORS, "Put this before each text.")] = None,
    prompt_name: Annotated[
        str | None, option(_VECTORS, "Or the model's own prompt of this name; default: its default one.")
    ] = None,
    truncate_dim: Annotated[int | None, option(_VECTORS, "Keep this many leading dimensions.")] = None,
    normalize: Annotated[
        bool | None, option(_VECTORS, "Bring vectors to unit length; default: as the model has them.")
    ] = None,
    output_type: Annotated[
        str, option(_VECTORS, "float32, float16, int8, uint8, or a bit a dimension: binary, ubinary.")
    ] = "float32",
    long: Annotated[
        str, option(_VECTORS, "Texts of more tokens than the model takes: cut, windows (their mean), or error.")
    ] = "cut",
    batch_tokens: Annotated[int | None, option(RUN, "Tokens in a batch, padding included.")] = None,
    expect: Annotated[str | None, option(RUN, "Fingerprint that the encoder must have, or its beginning.")] = None,
    resume: Annotated[bool, option(OUTPUT, "Continue a stopped job; parquet only.", "--resume")] = False,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the file at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Encode the rows of TEXTS: row i of OUT is row i of the input, blank rows included."""
    from mirrorkit.runtime.files.encode_file import encode_file

    with live_progress() as progress:
        result = encode_file(
            bundle,
            texts,
            out,
            variant=variant,
            device=device,
            threads=threads,
            tensorrt=_tensorrt(provider, _folder(engine), rebuild, engine_cache),
            engine=_named(engine),
            precision=precision,
            text_column=text_column,
            delimiter=delimiter,
            encoding=encoding,
            header=header,
            prompt=prompt,
            prompt_name=prompt_name,
            normalize=normalize,
            truncate_dim=truncate_dim,
            output_type=output_type,
            revision=revision,
            batch_tokens=batch_tokens,
            expect=expect,
            long=long,
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        )
    show(
        result.as_dict(),
        lambda: [result.line(), f"read {result.understood}"],
        as_json=json_,
        markup=False,
        of_files=True,
    )


def _named(engine: str | None) -> str:
    """Return the engine that is named; a folder is TensorRT's, and beside it the default holds."""
    return engine if engine in ENGINES else "onnxruntime"


def _folder(engine: str | None) -> Path | None:
    return None if engine is None or engine in ENGINES else Path(engine)


def _tensorrt(provider: str | None, engine: Path | None, rebuild: bool, cache: Path | None) -> Tensorrt | None:
    """Return what the options say of TensorRT; raises ConfigError for those that exclude one another."""
    from mirrorkit.runtime.tensorrt.options import Tensorrt

    if provider not in (None, "tensorrt"):
        raise ConfigError(f"provider {provider!r}: must be tensorrt; without it ONNX Runtime runs on the device itself")
    if provider and engine:
        raise ConfigError(f"provider {provider}: cannot be combined with an engine, which is the variant tensorrt")
    if cache and not provider:
        raise ConfigError("`engine_cache` needs `provider=tensorrt`")
    if provider or engine or rebuild:
        return Tensorrt(engine, _rebuild if rebuild else None, cache)
    return None


def _rebuild(bundle: Path, engine: Path) -> None:
    from mirrorkit.exporter.tensorrt.build import rebuild_engine

    rebuild_engine(bundle, engine)


@command
def similarity(
    bundle: Annotated[
        str, typer.Argument(help="Folder of a bundle or of an ONNX export made by others, or a hub id of a bundle.")
    ],
    texts: Annotated[list[str], typer.Argument(help="Two texts or more.")],
    variant: Annotated[str, typer.Option(help="auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    prompt: Annotated[str | None, option(_VECTORS, "Put this before each text.")] = None,
    prompt_name: Annotated[
        str | None, option(_VECTORS, "Or the model's own prompt of this name; default: its default one.")
    ] = None,
    truncate_dim: Annotated[int | None, option(_VECTORS, "Keep this many leading dimensions.")] = None,
    revision: Annotated[str | None, option(RUN, "Branch, tag or commit, of a hub id.")] = None,
    engine: Annotated[str, option(RUN, "onnxruntime or openvino.")] = "onnxruntime",
    precision: Precision = None,
    json_: Json = False,
) -> None:
    """Print how alike the first text is to each of the others, by the model's own function."""
    from mirrorkit.runtime.similarity import similarity as run

    result = run(
        bundle,
        texts,
        variant=variant,
        prompt=prompt,
        prompt_name=prompt_name,
        truncate_dim=truncate_dim,
        revision=revision,
        engine=engine,
        precision=precision,
    )
    if json_:
        print_json(result.as_dict())
    else:
        stdout().print(*result.lines(), sep="\n", soft_wrap=True, markup=False)
