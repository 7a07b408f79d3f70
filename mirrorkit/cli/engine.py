"""Build a TensorRT engine of a bundle: `engine`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirrorkit.cli.command import EXIT_FAILED, OUTPUT, Json, command, option
from mirrorkit.errors import ConfigError
from mirrorkit.terminal.console import live_progress, print_json, say, show

if TYPE_CHECKING:
    from mirrorkit.exporter.tensorrt.build import EngineRefusedError, EngineResult
    from mirrorkit.exporter.tensorrt.plan import EnginePlan

ENGINE = "TensorRT engines"
Target = Annotated[
    str | None,
    option(ENGINE, "portable, sm75, sm80, sm86, sm89, sm120, sm121 or current; default: what suits the backend."),
]
Profiles = Annotated[
    list[str] | None,
    option(
        ENGINE,
        "latency, throughput, mixed, or min=1x8,opt=32x32,max=256x128 (texts x tokens); repeatable.",
        "--profile",
    ),
]


@command
def engine(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or its hub id; see `mirrorkit export`.")],
    out: Annotated[Path, option(OUTPUT, "Folder to write the engine to, beside the bundle.", "--out", "-o")],
    precision: Annotated[str, option(ENGINE, "fp16, fp32, int8 or fp8.")] = "fp16",
    target: Target = None,
    profile: Profiles = None,
    backend: Annotated[str, option(ENGINE, "tensorrt, tensorrt-rtx, or auto: what is installed.")] = "auto",
    ids: Annotated[str, option(ENGINE, "Type of the inputs, int64 or int32.")] = "int64",
    overwrite: Annotated[bool, option(OUTPUT, "Replace the engine at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Build a TensorRT engine of BUNDLE, proved in ONNX Runtime and on a GPU if present; exit code 1 if it fails."""
    from mirrorkit.exporter.tensorrt.build import EngineRefusedError, build_engine

    try:
        with live_progress() as progress:
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
            print_json({"engine": None, "problems": err.problems})
        raise refusal(err) from err
    show(result.as_dict(), lambda: engine_lines(result), as_json=json_, of_files=True)


def refusal(err: EngineRefusedError) -> typer.Exit:
    """Tell why an engine is not published; return what to leave the command with."""
    for problem in err.problems:
        say(f"mirrorkit: not published: {problem.line()}")
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
    from mirrorkit.exporter.tensorrt.plan import EnginePlan, plan_engines

    if wanted is not None:
        return plan_engines(out, wanted, exported=exported, profiles=profiles or (), target=target, overwrite=overwrite)
    if profiles or target:
        raise ConfigError("--profile and --target need --tensorrt, such as --tensorrt fp16")
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
