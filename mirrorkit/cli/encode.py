"""Use a bundle: `encode`, `similarity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mirrorkit.cli.command import OUTPUT, RUN, Delimiter, Encoding, Header, Json, TextColumn, command, listed, option
from mirrorkit.cli.shards import SHARDS, is_of_shards, to_shards
from mirrorkit.errors import ConfigError
from mirrorkit.terminal.console import live_progress, print_json, show, stdout

_RT = "TensorRT"
ENGINES = ("onnxruntime", "openvino")  # a folder of such a name can be given as ./openvino
Precision = Annotated[
    str | None,
    option(
        RUN,
        "Of OpenVINO: fp32, bf16 or int8; default: bf16 where the processor has it, else fp32. Of ONNX Runtime: "
        "bf16, where MIRRORKIT_OPS names libmirrorkit_ops.",
    ),
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
        list[str],
        typer.Argument(
            help="File of text, csv, tsv, json, jsonl (also .gz .bz2 .xz .zst), parquet or arrow, or - for stdin; or "
            "files, folders, patterns and addresses (s3://, gs://, az://, hf://), which become shards."
        ),
    ],
    out: Annotated[
        str, option(OUTPUT, "File to write: .npy, .jsonl or .parquet; of shards a folder or address.", "--out", "-o")
    ],
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
    adapter: Annotated[
        Path | None, option(_VECTORS, "Folder of an adapter of this encoder: vectors to search among an older one's.")
    ] = None,
    resume: Annotated[bool, option(OUTPUT, "Continue a stopped job; parquet and shards only.", "--resume")] = False,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the file at OUT, or the shards.", "--overwrite")] = False,
    id_column: Annotated[str | None, option(SHARDS, "Column to write before the vectors.")] = None,
    keep: Annotated[str | None, option(SHARDS, "More columns to write, with commas between them.")] = None,
    shard_rows: Annotated[
        int | None,
        option(SHARDS, "Cut parquet files of more rows at their row groups; 0: never; default: 100,000."),
    ] = None,
    part: Annotated[str | None, option(SHARDS, "Do a part of the shards: 3/16 is the third of sixteen.")] = None,
    on: Annotated[str | None, option(SHARDS, "ray, ray=HOST:PORT or ray=local: run the shards as its tasks.")] = None,
    on_error: Annotated[
        str | None, option(SHARDS, "stop (default), or skip: leave out and name what cannot be read.")
    ] = None,
    status: Annotated[bool, option(SHARDS, "Tell how far the shards are, and do nothing.", "--status")] = False,
    finish: Annotated[
        bool, option(SHARDS, "Check all shards and write the manifest, after parts are done.", "--finish")
    ] = False,
    json_: Json = False,
) -> None:
    """Encode the rows of TEXTS: row i of OUT is row i of the input, blank rows included."""
    about_vectors: dict[str, Any] = {
        "variant": variant,
        "device": device,
        "threads": threads,
        "tensorrt": _tensorrt(provider, _folder(engine), rebuild, engine_cache),
        "engine": _named(engine),
        "precision": precision,
        "text_column": text_column,
        "delimiter": delimiter,
        "encoding": encoding,
        "header": header,
        "prompt": prompt,
        "prompt_name": prompt_name,
        "normalize": normalize,
        "truncate_dim": truncate_dim,
        "output_type": output_type,
        "revision": revision,
        "batch_tokens": batch_tokens,
        "expect": expect,
        "long": long,
        "overwrite": overwrite,
        "resume": resume,
    }
    of_shards = {
        "id_column": id_column,
        "keep": listed(keep),
        "shard_rows": shard_rows,
        "part": part,
        "on": on,
        "on_error": on_error,
        "status": status or None,
        "finish": finish or None,
    }
    given = {name: value for name, value in of_shards.items() if value is not None}
    if given or is_of_shards(texts, out):
        if adapter is not None:
            raise ConfigError(f"adapter {str(adapter)!r}: is for one file; shards are of the encoder's own vectors")
        to_shards(bundle, texts, out, given, about_vectors, as_json=json_)
    else:
        _to_file(bundle, texts[0], Path(out), about_vectors | {"adapter": adapter}, as_json=json_)


def _to_file(bundle: str, texts: str, out: Path, options: dict[str, Any], *, as_json: bool) -> None:
    from mirrorkit.runtime.files.encode_file import encode_file

    with live_progress() as progress:
        result = encode_file(bundle, texts, out, **options, progress=progress)
    show(
        result.as_dict(),
        lambda: [result.line(), f"read {result.understood}"],
        as_json=as_json,
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
    if provider not in (None, "tensorrt"):
        raise ConfigError(f"provider {provider!r}: must be tensorrt; without it ONNX Runtime runs on the device itself")
    if provider and engine:
        raise ConfigError(f"provider {provider}: cannot be combined with an engine, which is the variant tensorrt")
    if cache and not provider:
        raise ConfigError("`engine_cache` needs `provider=tensorrt`")
    if provider or engine or rebuild:
        from mirrorkit.runtime.tensorrt.options import Tensorrt

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
