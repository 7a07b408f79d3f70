"""Make a bundle and prove it: `export`, `check`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirrorkit.cli.command import EXIT_FAILED, OUTPUT, Json, Setting, TrustRemoteCode, command, listed, option, settings
from mirrorkit.cli.engine import ENGINE, Profiles, Target, as_json, engines_lines, planned, refusal
from mirrorkit.errors import ConfigError, MissingExtraError, ModelError
from mirrorkit.terminal.console import live_progress, say, show

if TYPE_CHECKING:
    from mirrorkit.verification.check import CheckResult

_GRAPHS = "Graphs"
_LIMITS = "Limits of verification (those of each precision where not given)"
_TRIM = "Trimming the vocabulary"

# What a user may set of `verification.thresholds`, and of `exporter.trim.gate` after trim_.
LIMITS = {
    "cosine_min": Setting(float, "Cosine of the worst text, at least.", "--min-cosine"),
    "cosine_p1": Setting(float, "Cosine, first percentile, at least.", "--min-p1-cosine"),
    "cosine_mean": Setting(float, "Mean cosine, at least.", "--min-mean-cosine"),
    "max_abs": Setting(float, "Difference of any component, at most."),
    "spearman": Setting(float, "Rank correlation of all pairs, at least.", "--min-spearman"),
    "overlap": Setting(float, "Share of the 10 nearest kept, at least.", "--min-overlap"),
    "invariance": Setting(float, "Change by batch or padding, any component, at most.", "--max-invariance"),
}
TRIM_LIMITS = {
    "trim_unchanged": Setting(float, "Share of its texts tokenised as before, at least.", "--trim-min-unchanged"),
    "trim_cosine_mean": Setting(float, "Mean cosine over other texts, at least.", "--trim-min-cosine"),
    "trim_graded_drop": Setting(float, "Points lost on the shipped graded pairs, at most.", "--trim-max-drop"),
}


@command
@settings("thresholds", LIMITS, _LIMITS)
@settings("trim_limits", TRIM_LIMITS, _TRIM)
def export(
    model: Annotated[str, typer.Argument(help="A model folder, a shipped name or a hub id.")],
    out: Annotated[Path, option(OUTPUT, "Folder to write the bundle to.", "--out", "-o")],
    *,
    variants: Annotated[str, option(_GRAPHS, "Among fp32, fp16, int8, int4, static, with commas.")] = "fp32,fp16,int8",
    opset: Annotated[int | None, option(_GRAPHS, "ONNX operator set of the portable graphs.")] = None,
    max_length: Annotated[int | None, option(_GRAPHS, "Tokens; longer text is cut.")] = None,
    pooling: Annotated[str | None, option(_GRAPHS, "Where the folder does not say, or to override it.")] = None,
    optimize: Annotated[bool, option(_GRAPHS, "Add a graph fused for ONNX Runtime.")] = True,
    static_dim: Annotated[int, option(_GRAPHS, "Dimensions of static, which is another and far smaller model.")] = 256,
    calibration: Annotated[
        str | None,
        option(_GRAPHS, "Texts like those to be encoded, a file; default: the fine-tune's corpus, else a sample."),
    ] = None,
    text_column: Annotated[str | None, option(_GRAPHS, "Column of the calibration file, name or number.")] = None,
    trim: Annotated[
        list[str] | None,
        option(_TRIM, "Drop what this file or folder of texts never uses; repeatable, one a language.", "--trim-vocab"),
    ] = None,
    trim_column: Annotated[str | None, option(_TRIM, "Its column, name or number.")] = None,
    trim_min_count: Annotated[int, option(_TRIM, "Keep what occurs at least this often.")] = 1,
    trim_limits: dict[str, float],
    thresholds: dict[str, float],
    tensorrt: Annotated[
        str | None,
        option(ENGINE, "Engines too: fp16, fp32, int8, fp8, with commas; into OUT-tensorrt-fp16 and so on."),
    ] = None,
    profile: Profiles = None,
    target: Target = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the bundle at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Export MODEL to a bundle whose every graph is verified; one that fails is not published (exit code 1)."""
    from mirrorkit.exporter.pipeline import export as run
    from mirrorkit.exporter.result import NothingPublishedError
    from mirrorkit.exporter.tensorrt.build import EngineRefusedError, EngineResult
    from mirrorkit.exporter.trim.vocabulary import Trim
    from mirrorkit.terminal.report import export_report

    if not trim and (trim_column or trim_min_count != 1 or trim_limits):
        raise ConfigError("--trim-column, --trim-min-… and --trim-max-drop need --trim-vocab FILE")
    own = {name.removeprefix("trim_"): value for name, value in trim_limits.items()}
    to_trim = Trim(trim, trim_column, trim_min_count, own) if trim else None
    exported = listed(variants) or []
    plan = planned(out, listed(tensorrt), exported, profile, target, overwrite)
    engines: list[EngineResult] = []
    try:
        with live_progress() as progress:
            result = run(
                model,
                out,
                precision=exported,
                opset=opset,
                max_length=max_length,
                pooling=pooling,
                calibration=calibration,
                text_column=text_column,
                optimize=optimize,
                static_dim=static_dim,
                trim=to_trim,
                overwrite=overwrite,
                trust_remote_code=trust_remote_code,
                thresholds=thresholds,
                progress=progress,
            )
            engines = plan.build(progress)
    except NothingPublishedError as err:
        result = err.result
    except EngineRefusedError as err:
        raise refusal(err) from err
    show(
        {**result.as_dict(), **as_json(engines)},
        lambda: [*export_report(result), *engines_lines(engines)],
        as_json=json_,
        of_files=True,
    )
    if not result.ok:
        for problem in result.problems:
            say(f"mirrorkit: not published: {problem.line()}")
        raise typer.Exit(EXIT_FAILED)


@command
def check(
    bundle: Annotated[
        str,
        typer.Argument(help="Folder of a bundle, or of a model or ONNX export made by others, or a bundle's hub id."),
    ],
    variants: Annotated[str | None, typer.Option(help="Run these only, with commas; default: all.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="File of vectors that encode wrote: does BUNDLE make the same? No more is done.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit, of a hub id.")] = None,
    engine: Annotated[str, typer.Option(help="openvino: run the plain graphs by OpenVINO as well.")] = "onnxruntime",
    json_: Json = False,
) -> None:
    """Check hashes, contract and vectors of BUNDLE, and what other libraries read; exit code 1 if it is not fit."""
    if against is not None:
        if engine != "onnxruntime":
            raise ConfigError(f"engine {engine!r}: says nothing beside `against`; name one of its variants there")
        _check_against(bundle, against, variants, revision, json_=json_)
        return
    from mirrorkit.terminal.report import check_report
    from mirrorkit.verification.check import check as run

    result = run(bundle, variants=listed(variants), revision=revision, engine=engine)
    if not result.is_bundle and any(result.folder.rglob("*.safetensors")):
        result = _with_outside(result)
    show(result.as_dict(), lambda: check_report(result), as_json=json_)
    if not result.ok:
        raise typer.Exit(EXIT_FAILED)


def _check_against(bundle: str, vectors: Path, variant: str | None, revision: str | None, *, json_: bool) -> None:
    """Print whether the bundle makes the vectors of a file; exit code 1 where it makes others."""
    from mirrorkit.verification.against import check_vectors

    found = check_vectors(bundle, vectors, variant=variant, revision=revision)
    show(found.as_dict(), found.lines, as_json=json_, markup=False)
    if not found.ok:
        raise typer.Exit(EXIT_FAILED)


def _with_outside(result: CheckResult) -> CheckResult:
    """Add how the vectors of a model folder compare with those of sentence-transformers."""
    from mirrorkit.verification.problem import Problem, Severity, Stage

    try:
        from mirrorkit.model.encoder import SentenceEncoder
        from mirrorkit.model.outside import compare_outside

        found = compare_outside(SentenceEncoder.load(result.folder), result.folder).line()
        problem = Problem(Stage.NUMBERS, found, severity=Severity.NOTE)
    except MissingExtraError as err:
        problem = Problem(Stage.NUMBERS, f"not compared with sentence-transformers: {err}", severity=Severity.NOTE)
    except ModelError as err:
        problem = Problem(Stage.NUMBERS, str(err))
    return replace(result, problems=(*result.problems, problem))
