"""The whole job on the shipped model in about a minute, with a word on every step."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from mirrorkit.bench.gate import judge, load_gate
from mirrorkit.bench.page import html_page
from mirrorkit.bench.plan import Budget
from mirrorkit.bench.run import run_bench
from mirrorkit.bench.tables import gate_line
from mirrorkit.console import LiveProgress
from mirrorkit.demo.measure import GRADED, Snapshot, take_snapshot
from mirrorkit.demo.picture import draw
from mirrorkit.demo.sentences import TOPICS
from mirrorkit.demo.tell import bench_table, neighbour_table, score_table, verdict
from mirrorkit.device import pick_device
from mirrorkit.documentation import collect_sentences
from mirrorkit.environment import cpu_name, usable_cores, versions
from mirrorkit.errors import OutputError
from mirrorkit.evaluation.sts import SEVEN, task_files
from mirrorkit.exporter.pipeline import export_bundle
from mirrorkit.model import SentenceEncoder
from mirrorkit.paths import local_path
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.report import check_report, export_report, sts_table
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.training.finetune import finetune
from mirrorkit.verification.check import check_bundle

if TYPE_CHECKING:
    from rich.console import Console

BASE = "tiny"
FIGURES = "demo.json"
# Enough to see what the variants are for; `mirrorkit bench` takes the time that a judgement on speed needs.
BUDGET = Budget("demo", seconds=8, min_rounds=2, max_rounds=2, texts=64, calls=40, gemm_seconds=0.2)
_NEEDS_BYTES = 80 << 20  # the model in fp32, the bundle, the corpus, the picture

ShowProgress = Callable[[], AbstractContextManager[LiveProgress | None]]


@dataclass
class Demo:
    """What the stages share: where they write, how they speak, and what they have found so far."""

    draft: Path  # written to now
    out: Path  # where it will lie
    sts: Path | None
    sentences: int
    console: Console
    show_progress: ShowProgress
    figures: dict[str, Any] = field(default_factory=dict)
    base: SentenceEncoder | None = None
    tuned: SentenceEncoder | None = None
    before: Snapshot | None = None
    after: Snapshot | None = None

    def say(self, *parts: Any) -> None:
        self.console.print(*parts, sep="\n", soft_wrap=True)


def run_demo(
    out: str | Path = "mirrorkit-demo",
    *,
    sts: str | Path | None = None,
    sentences: int = 10_000,
    overwrite: bool = False,
    console: Console | None = None,
    show_progress: ShowProgress = nullcontext,
) -> dict[str, Any]:
    """Run every stage, publish `out` when all are done, and return the figures that stand in its demo.json.

    `sts` is a folder of the seven STS sets; see `find_sts` for where else they are looked for. Of an existing `out`
    only a former demo is replaced, and that only with `overwrite`. Nothing is said without a `console`.
    Raises a MirrorkitError that says what to change; `out` is as it was then.
    """
    target = local_path(out)
    _check_former(target, overwrite=overwrite)
    check_target(target, overwrite=overwrite, needs_bytes=_NEEDS_BYTES)
    folder = find_sts(sts)
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    with publish_folder(target, overwrite=overwrite) as draft:
        demo = Demo(draft, target, folder, sentences, console or _silent(), show_progress)
        for number, stage in enumerate(STAGES, 1):
            start = time.perf_counter()
            demo.say(f"\n[bold]{number} of {len(STAGES)} · {(stage.__doc__ or '').rstrip('.')}[/bold]")
            stage(demo)
            seconds[stage.__name__] = time.perf_counter() - start
        figures = {
            "base": BASE,
            **demo.figures,
            "seconds": {**seconds, "total": time.perf_counter() - started},
            "hardware": {"cpu": cpu_name(), "cores": usable_cores()},
            "versions": versions("mirrorkit", "torch", "transformers", "tokenizers", "numpy", "matplotlib"),
        }
        # A correlation may be undefined; JSON has no NaN, so it becomes null.
        figures = dict(json.loads(json.dumps(figures), parse_constant=lambda _: None))
        text = json.dumps(figures, indent=2, ensure_ascii=False)
        (draft / FIGURES).write_text(text + "\n", encoding="utf-8")
    _tell_end(demo, figures["seconds"]["total"])
    return figures


def find_sts(given: str | Path | None) -> Path | None:
    """Return the folder of STS files: the one given, else $MIRRORKIT_STS, else ../shared/data/sts if it is there.

    Raises CorpusError where that folder lacks one of the seven sets.
    """
    beside = Path.cwd().parent / "shared" / "data" / "sts"
    folder = given or os.environ.get("MIRRORKIT_STS") or (beside if beside.is_dir() else None)
    if not folder:
        return None
    task_files(folder, SEVEN)
    return local_path(folder)


def _check_former(out: Path, *, overwrite: bool) -> None:
    if overwrite and out.is_dir() and any(out.iterdir()) and not (out / FIGURES).is_file():
        raise OutputError(f"{out}: holds no {FIGURES}, so it is no former demo and is not overwritten")


def collect(demo: Demo) -> None:
    """Collect sentences from this Python's own documentation."""
    sentences = collect_sentences(demo.sentences)
    (demo.draft / "corpus.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    demo.figures["sentences"] = len(sentences)
    demo.say(
        f"{len(sentences):,} distinct sentences, no labels, nothing downloaded. For example:",
        *map(escape, sentences[:2]),
    )


def measure_before(demo: Demo) -> None:
    """Measure the masked language model as it is."""
    demo.base = SentenceEncoder.load(BASE).to(pick_device("auto"))
    demo.before = _measure(demo, demo.base)
    demo.figures["before"] = demo.before.as_dict()
    where = (
        f"and the seven STS sets in {escape(str(demo.sts))}" if demo.sts else "(for the STS sets as well: --sts FOLDER)"
    )
    demo.say(f"Scored the mean-pooled vectors of {BASE} on {demo.before.graded.pairs} graded pairs {where}.")


def train(demo: Demo) -> None:
    """Fine-tune it: each sentence is to be nearest to itself, seen twice through dropout and a mask."""
    with demo.show_progress() as progress:
        result = finetune(BASE, demo.draft / "corpus.txt", demo.draft / "model", progress=progress)
    demo.tuned = result.encoder
    demo.figures["training"] = result.as_dict() | {"out": str(demo.out / "model")}
    demo.say(
        f"{result.stats.steps} steps over {result.stats.pairs:,} sentences in {result.stats.train_seconds:.1f} s "
        f"({result.pairs_per_second:.0f} a second) on {result.stats.device}, {result.stats.precision}."
    )


def measure_after(demo: Demo) -> None:
    """Measure again and compare."""
    assert demo.tuned is not None  # an earlier stage trained it
    assert demo.before is not None
    demo.after = _measure(demo, demo.tuned)
    demo.figures["after"] = demo.after.as_dict()
    demo.figures["gain"] = demo.after.graded.spearman - demo.before.graded.spearman
    demo.say(score_table(demo.before, demo.after))
    if demo.before.sts and demo.after.sts:
        demo.say(sts_table(demo.before.sts, demo.after.sts))
    demo.say(*verdict(demo.before, demo.after))


def show_neighbours(demo: Demo) -> None:
    """Show the nearest neighbours of a few sentences."""
    assert demo.before is not None
    assert demo.after is not None
    demo.say(neighbour_table(demo.before, demo.after))


def show_picture(demo: Demo) -> None:
    """Draw the similarities of sentences in four topics."""
    assert demo.before is not None
    assert demo.after is not None
    draw(demo.draft / "similarity.png", TOPICS, demo.before, demo.after)
    demo.say(escape(str(demo.out / "similarity.png")))


def export(demo: Demo) -> None:
    """Export it to ONNX, each graph verified against the model it came from."""
    with demo.show_progress() as progress:
        result = export_bundle(demo.draft / "model", demo.draft / "bundle", progress=progress)
    demo.figures["export"] = result.as_dict() | {"bundle": str(demo.out / "bundle")}
    demo.say(*export_report(result, demo.out / "bundle"))


def use_bundle(demo: Demo) -> None:
    """Encode with the bundle alone: ONNX Runtime, no torch."""
    assert demo.tuned is not None
    texts = [text for sentences in TOPICS.values() for text in sentences]
    start = time.perf_counter()
    encoder = Encoder(demo.draft / "bundle")
    vectors = encoder.encode(texts)
    seconds = time.perf_counter() - start
    lowest = float((vectors * demo.tuned.encode(texts)).sum(axis=1).min())
    demo.figures["bundle"] = {"variant": encoder.variant, "seconds": seconds, "cosine_min": lowest}
    demo.say(
        f"Opened the {encoder.variant} graph and encoded {len(texts)} sentences in {seconds * 1e3:.0f} ms; "
        f"the lowest cosine to what torch gives for one of them is {lowest:.4f}."
    )


def check(demo: Demo) -> None:
    """Check the bundle as whoever receives it would: hashes, contract, vectors, and what other libraries would read."""
    result = check_bundle(demo.draft / "bundle")
    demo.figures["check"] = result.as_dict() | {"folder": str(demo.out / "bundle")}
    demo.say(*check_report(result))


def bench(demo: Demo) -> None:
    """Hold speed and scores of every variant against plain fp32, in fresh processes, and let the gate judge."""
    with demo.show_progress() as progress:
        result = run_bench(demo.draft / "bundle", budget=BUDGET, lengths=(16,), batches=(1,), progress=progress)
    result = replace(result, bundle={**result.bundle, "folder": str(demo.out / "bundle")})
    result = replace(result, gate=judge(result, load_gate("default")))
    demo.figures["bench"] = result.as_dict()
    (demo.draft / "bench.html").write_text(html_page(result), encoding="utf-8")
    demo.say(bench_table(result), gate_line(result), f"All of it, with plots: {escape(str(demo.out / 'bench.html'))}")


# In the order in which they run; each takes up what the earlier ones left in the Demo.
STAGES: tuple[Callable[[Demo], None], ...] = (
    collect,
    measure_before,
    train,
    measure_after,
    show_neighbours,
    show_picture,
    export,
    check,
    use_bundle,
    bench,
)


def next_commands(out: Path) -> list[str]:
    """Return shell commands that can be run as they stand, but for the name of one's own text file."""
    model, bundle = (shlex.quote(str(out / name)) for name in ("model", "bundle"))
    return [
        f"mirrorkit finetune {BASE} your-text.txt --out my-model",
        f"mirrorkit eval {model} --sts {shlex.quote(str(GRADED.parent))} --tasks {GRADED.stem} --geometry",
        f"mirrorkit similarity {bundle} 'A cat sleeps.' 'A kitten naps.' 'Shares fell.'",
        f"mirrorkit check {bundle}",
    ]


def _tell_end(demo: Demo, seconds: float) -> None:
    demo.say(f"\n[bold]Done in {seconds:.0f} s; all figures are in {escape(str(demo.out / FIGURES))}. Next:[/bold]")
    demo.say(*(f"  {escape(command)}" for command in next_commands(demo.out)))
    demo.say(f"In place of {BASE}, the first takes any masked language model: a folder or a hub id.")


def _measure(demo: Demo, encoder: SentenceEncoder) -> Snapshot:
    with demo.show_progress() as progress:
        return take_snapshot(encoder, demo.sts, progress.texts if progress else None)


def _silent() -> Console:
    from rich.console import Console

    return Console(quiet=True)
