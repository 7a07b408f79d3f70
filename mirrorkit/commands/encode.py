"""Use a bundle: `encode`, `similarity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.commands.options import Json, is_quiet
from mirrorkit.console import live_progress, one_line_errors, print_json, stdout
from mirrorkit.errors import ConfigError


@one_line_errors
def encode(
    ctx: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, or of an ONNX export made by others.")],
    texts: Annotated[str, typer.Argument(help="txt, csv, tsv, jsonl (each also .gz), parquet, or - for stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .npy, .jsonl or .parquet.")],
    variant: Annotated[str, typer.Option(help="auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: cuda where TensorRT is asked for.")] = None,
    provider: Annotated[str | None, typer.Option(help="tensorrt: ONNX Runtime's own, an engine made at need.")] = None,
    engine: Annotated[Path | None, typer.Option(help="Folder of a TensorRT engine of BUNDLE, to run that.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build ENGINE anew where it does not fit.")] = False,
    engine_cache: Annotated[Path | None, typer.Option(help="Where PROVIDER keeps its engines.")] = None,
    threads: Annotated[int | None, typer.Option(help="Default: the physical cores.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column name or number.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens in a batch, padding included.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped job; parquet only.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Encode the rows of TEXTS: row i of OUT is row i of the input, blank rows included."""
    from mirrorkit.runtime.encode_file import encode_file

    if rebuild and engine is None:
        raise ConfigError("--rebuild: only together with --engine")
    with live_progress(is_quiet(ctx)) as progress:
        result = encode_file(
            bundle,
            texts,
            out,
            variant=variant,
            device=device,
            provider=provider,
            engine=engine,
            rebuild=_rebuild if rebuild else None,
            engine_cache=engine_cache,
            threads=threads,
            text_column=text_column,
            batch_tokens=batch_tokens,
            overwrite=overwrite,
            resume=resume,
            on_progress=progress.texts,
        )
    if json_:
        print_json(result.as_dict())
    elif not is_quiet(ctx):
        stdout().print(result.line(), soft_wrap=True, markup=False)


def _rebuild(bundle: Path, engine: Path) -> None:
    from mirrorkit.exporter.tensorrt import rebuild_engine

    rebuild_engine(bundle, engine)


@one_line_errors
def similarity(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, or of an ONNX export made by others.")],
    texts: Annotated[list[str], typer.Argument(help="Two texts or more.")],
    variant: Annotated[str, typer.Option(help="auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    json_: Json = False,
) -> None:
    """Print the cosine of the first text with each of the others."""
    from mirrorkit.runtime.similarity import compare

    result = compare(bundle, texts, variant=variant)
    if json_:
        print_json(result.as_dict())
    else:
        stdout().print(*result.lines(), sep="\n", soft_wrap=True, markup=False)
