"""Build a TensorRT engine of a bundle: `engine`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirrorkit.commands.options import Json, is_quiet
from mirrorkit.console import EXIT_FAILED, live_progress, one_line_errors, print_json, stdout
from mirrorkit.errors import ConfigError

if TYPE_CHECKING:
    from mirrorkit.exporter.tensorrt import EngineRefusedError, EngineResult
    from mirrorkit.exporter.tensorrt_export import EnginePlan

Target = Annotated[
    str | None,
    typer.Option(help="portable, sm75, sm80, sm86, sm89, sm120, sm121 or current; default: what suits the backend."),
]
Profiles = Annotated[
    list[str] | None,
    typer.Option(
        "--profile", help="latency, throughput, mixed, or min=1x8,opt=32x32,max=256x128 (texts x tokens); repeatable."
    ),
]


@one_line_errors
def engine(
    ctx: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle; see `mirrorkit export`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the engine to, beside the bundle.")],
    precision: Annotated[str, typer.Option(help="fp16 or fp32.")] = "fp16",
    target: Target = None,
    profile: Profiles = None,
    backend: Annotated[str, typer.Option(help="tensorrt, tensorrt-rtx, or auto: what is installed.")] = "auto",
    ids: Annotated[str, typer.Option(help="Type of the inputs, int64 or int32.")] = "int64",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the engine at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Build a TensorRT engine of BUNDLE, proved in ONNX Runtime first and on the GPU if there is one (exit code 1)."""
    from mirrorkit.exporter.tensorrt import EngineRefusedError, build_engine

    try:
        with live_progress(is_quiet(ctx)) as progress:
            result = build_engine(
                bundle,
                out,
                precision=precision,
                target=target,
                profiles=profile or (),
                backend=backend,
                ids=ids,
                overwrite=overwrite,
                progress=progress,
            )
    except EngineRefusedError as err:
        if json_:
            print_json({"engine": None, "problems": [problem.as_dict() for problem in err.problems]})
        raise refusal(err) from err
    if json_:
        print_json(result.as_dict())
    elif not is_quiet(ctx):
        stdout().print(*engine_lines(result), sep="\n", soft_wrap=True)


def refusal(err: EngineRefusedError) -> typer.Exit:
    """Tell why an engine is not published; return what to leave the command with."""
    for problem in err.problems:
        print(f"mirrorkit: not published: {problem.line()}", file=sys.stderr)
    return typer.Exit(EXIT_FAILED)


def planned(
    out: Path,
    wanted: list[str] | None,
    exported: list[str],
    profiles: list[str] | None,
    target: str | None,
    overwrite: bool,
) -> EnginePlan:
    """Return the engines that `mirrorkit export` is to build; None wanted are none built."""
    from mirrorkit.exporter.tensorrt_export import EnginePlan, plan_engines

    if wanted is not None:
        return plan_engines(out, wanted, exported=exported, profiles=profiles or (), target=target, overwrite=overwrite)
    if profiles or target:
        raise ConfigError("--profile and --target are for engines: give --tensorrt fp16 as well")
    return EnginePlan(out, ())


def as_json(engines: list[EngineResult]) -> dict[str, object]:
    """Return what the engines add to the JSON document of `mirrorkit export`."""
    return {"engines": [made.as_dict() for made in engines]} if engines else {}


def engines_lines(engines: list[EngineResult]) -> Iterator[str]:
    """Yield what a person wants to know of them all."""
    for made in engines:
        yield from engine_lines(made)


def engine_lines(result: EngineResult) -> Iterator[str]:
    """Yield what a person wants to know of a new engine."""
    built = result.engine
    size, seconds = f"{result.bytes / 1e6:.1f} MB", f"{result.seconds:.0f} s"
    yield f"{built.folder}: {built.precision}, {built.target}, {built.backend} {built.version}, {size}, {seconds}"
    for profile in built.profiles:
        yield f"  {profile}"
    what, measured = ("engine", built.report) if built.report else ("its graph in ONNX Runtime", built.graph_report)
    lowest = math.floor(measured["cosine_min"] * 1e6) / 1e6  # never rounded up to 1
    yield f"  {what}: cosine at least {lowest:.6f}, no component off by more than {measured['max_abs']:.1e}"
    yield from (f"  {note}" for note in result.notes or (str(built.status),))
