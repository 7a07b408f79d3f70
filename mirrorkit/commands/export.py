"""Make a bundle and prove it: `export`, `check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.commands.engine import Profiles, Target, as_json, engines_lines, planned, refusal
from mirrorkit.commands.options import Json, is_quiet, listed
from mirrorkit.console import EXIT_FAILED, live_progress, one_line_errors, print_json, stdout
from mirrorkit.errors import ConfigError

_LIMITS = "Limits of verification (those of each precision where not given)"
_RT = "TensorRT engines"
_TRIM = "Trimming the vocabulary (WordPiece)"


@one_line_errors
def export(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A model folder, a shipped name or a hub id.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the bundle to.")],
    precision: Annotated[str, typer.Option(help="Among fp32, fp16, int8, int4, with commas.")] = "fp32,fp16,int8",
    opset: Annotated[int | None, typer.Option(help="ONNX operator set of the portable graphs.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens; longer text is cut.")] = None,
    pooling: Annotated[str | None, typer.Option(help="Where the folder does not say, or to override it.")] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="File of texts like those to come; default: the corpus of the model card, else a sample."),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the calibration file, name or number.")] = None,
    optimize: Annotated[bool, typer.Option(help="Add a graph fused for ONNX Runtime.")] = True,
    trim_vocab: Annotated[
        str | None, typer.Option(help="Drop what this file of texts never uses.", rich_help_panel=_TRIM)
    ] = None,
    trim_column: Annotated[str | None, typer.Option(help="Its column, name or number.", rich_help_panel=_TRIM)] = None,
    trim_min_count: Annotated[int, typer.Option(help="Keep what occurs so often.", rich_help_panel=_TRIM)] = 1,
    trim_min_unchanged: Annotated[
        float | None, typer.Option(help="Share of its texts cut as before.", rich_help_panel=_TRIM)
    ] = None,
    trim_min_cosine: Annotated[float | None, typer.Option(help="Mean, other texts.", rich_help_panel=_TRIM)] = None,
    trim_max_drop: Annotated[
        float | None, typer.Option(help="Points on the shipped graded pairs.", rich_help_panel=_TRIM)
    ] = None,
    tensorrt: Annotated[
        str | None,
        typer.Option(help="Engines too: fp16, fp32 or both; into OUT-tensorrt-fp16 and the like.", rich_help_panel=_RT),
    ] = None,
    profile: Profiles = None,
    target: Target = None,
    min_cosine: Annotated[float | None, typer.Option(help="Worst text.", rich_help_panel=_LIMITS)] = None,
    min_p1_cosine: Annotated[float | None, typer.Option(help="First percentile.", rich_help_panel=_LIMITS)] = None,
    min_mean_cosine: Annotated[float | None, typer.Option(rich_help_panel=_LIMITS)] = None,
    max_abs: Annotated[float | None, typer.Option(help="Any component.", rich_help_panel=_LIMITS)] = None,
    min_spearman: Annotated[float | None, typer.Option(help="Of all pairs.", rich_help_panel=_LIMITS)] = None,
    min_overlap: Annotated[float | None, typer.Option(help="Of the 10 nearest.", rich_help_panel=_LIMITS)] = None,
    max_invariance: Annotated[
        float | None, typer.Option(help="Change by batch or padding, any component.", rich_help_panel=_LIMITS)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Export MODEL to a bundle whose every graph is verified; one that fails is not published (exit code 1)."""
    from mirrorkit.exporter.pipeline import export_bundle
    from mirrorkit.exporter.result import NothingPublishedError
    from mirrorkit.exporter.tensorrt import EngineRefusedError, EngineResult
    from mirrorkit.exporter.trim import Trim
    from mirrorkit.report import export_report

    given = {
        "cosine_min": min_cosine,
        "cosine_p1": min_p1_cosine,
        "cosine_mean": min_mean_cosine,
        "max_abs": max_abs,
        "spearman": min_spearman,
        "overlap": min_overlap,
        "invariance": max_invariance,
    }
    gate = {"unchanged": trim_min_unchanged, "cosine_mean": trim_min_cosine, "graded_drop": trim_max_drop}
    if trim_vocab is None and (trim_column or trim_min_count != 1 or any(v is not None for v in gate.values())):
        raise ConfigError("--trim-column, --trim-min-… and --trim-max-drop need --trim-vocab FILE")
    own = {name: value for name, value in gate.items() if value is not None}
    trim = Trim(trim_vocab, trim_column, trim_min_count, own) if trim_vocab is not None else None
    exported = listed(precision) or []
    plan = planned(out, listed(tensorrt), exported, profile, target, overwrite)
    engines: list[EngineResult] = []
    try:
        with live_progress(is_quiet(ctx)) as progress:
            result = export_bundle(
                model,
                out,
                precision=exported,
                opset=opset,
                max_length=max_length,
                pooling=pooling,
                calibration=calibration,
                text_column=text_column,
                optimize=optimize,
                trim=trim,
                overwrite=overwrite,
                thresholds={name: value for name, value in given.items() if value is not None},
                progress=progress,
            )
            engines = plan.build(progress)
    except NothingPublishedError as err:
        result = err.result
    except EngineRefusedError as err:
        raise refusal(err) from err
    if json_:
        print_json({**result.as_dict(), **as_json(engines)})
    elif not is_quiet(ctx):
        stdout().print(*export_report(result), *engines_lines(engines), sep="\n", soft_wrap=True)
    if not result.ok:
        for problem in result.problems:
            print(f"mirrorkit: not published: {problem.line()}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED)


@one_line_errors
def check(
    ctx: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or of a model or ONNX export made by others.")],
    variants: Annotated[str | None, typer.Option(help="Run these only, with commas; default: all.")] = None,
    json_: Json = False,
) -> None:
    """Check hashes, contract and vectors of BUNDLE, and what each consumer would read; exit code 1 if it is not fit."""
    from mirrorkit.report import check_report
    from mirrorkit.verification.check import check_bundle

    result = check_bundle(bundle, variants=listed(variants))
    if json_:
        print_json(result.as_dict())
    elif not is_quiet(ctx):
        stdout().print(*check_report(result), sep="\n", soft_wrap=True)
    if not result.ok:
        raise typer.Exit(EXIT_FAILED)
