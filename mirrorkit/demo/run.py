"""The whole job on the shipped model in about a minute, with a word on every step."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from mirrorkit.extras import require

require("torch", extra="demo")  # all at once, before a room names the extra that it needs itself
require("transformers", extra="demo")
require("onnx", extra="demo")
require("onnxscript", extra="demo")
require("onnxruntime", extra="demo")
require("matplotlib", extra="demo")
import mirrorkit
from mirrorkit.assets.documents import Document, plain_sentences, read_documents
from mirrorkit.assets.paths import DOCUMENTS, HELD_OUT, SENTENCES
from mirrorkit.demo.documents import QUERIES, write_documents
from mirrorkit.demo.measure import Snapshot, take_snapshot
from mirrorkit.demo.page import html_page
from mirrorkit.demo.picture import draw
from mirrorkit.demo.speed import Speed, measure_speed
from mirrorkit.demo.tell import CLAIM, program, results_table, score_table, speed_table, verdict
from mirrorkit.errors import OutputError
from mirrorkit.exporter.result import ExportResult
from mirrorkit.formats.plain import plain
from mirrorkit.machine.facts import cpu_name, usable_cores, versions
from mirrorkit.machine.torch_device import pick_device
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.terminal.report import export_report
from mirrorkit.training.finetune import finetune

if TYPE_CHECKING:
    from rich.console import Console

BASE = "tiny"
CORPUS = "corpus.jsonl"
FIGURES = "demo.json"
PAGE = "demo.html"
# A quarter of a minute of training on two cores; all else is as the recipe says, which would take 31 steps by itself.
STEPS = 20
VARIANTS = ("fp32", "int8")  # the proofs of fp16 and of fused graphs would take half a minute more
SAMPLE = 64  # documents in the file that stands for the user's own
_NEEDS_BYTES = 300 << 20  # the model in fp32, the bundle, the documents, the pictures

ShowProgress = Callable[[], AbstractContextManager[Progress | None]]


@dataclass
class Demo:
    """What the stages share: where they write, how they speak, and what they have found so far."""

    draft: Path  # written to now
    out: Path  # where it will lie
    steps: int  # of the training
    console: Console
    show_progress: ShowProgress
    figures: dict[str, Any] = field(default_factory=dict)
    held_out: list[Document] = field(default_factory=list)
    tuned: SentenceEncoder | None = None
    before: Snapshot | None = None
    after: Snapshot | None = None
    exported: ExportResult | None = None
    speeds: list[Speed] = field(default_factory=list)

    def say(self, *parts: Any) -> None:
        for part in parts:
            self.console.print(part, soft_wrap=not isinstance(part, Table))


def run_demo(
    out: str | Path = "mirrorkit-demo",
    *,
    steps: int = STEPS,
    overwrite: bool = False,
    console: Console | None = None,
    show_progress: ShowProgress = nullcontext,
) -> dict[str, Any]:
    """Run every stage, publish `out` when all are done, and return the figures that stand in its demo.json.

    `steps` are those of the training. Of an existing `out` only an earlier demo is replaced, and that only with
    `overwrite`. Nothing is said without a `console`. Raises a MirrorkitError that says what to change; `out` is as it
    was then.
    """
    target = local_path(out)
    _check_earlier(target, overwrite=overwrite)
    check_target(target, overwrite=overwrite, needs_bytes=_NEEDS_BYTES)
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    with publish_folder(target, overwrite=overwrite) as draft:
        demo = Demo(draft, target, steps, console or _silent(), show_progress)
        demo.say(f"[bold]{CLAIM}[/bold]")
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
        figures = dict(plain(figures))  # a correlation may be undefined: NaN becomes null
        text = json.dumps(figures, indent=2, ensure_ascii=False)
        (draft / FIGURES).write_text(text + "\n", encoding="utf-8")
    _tell_end(demo, figures["seconds"])
    return figures


def _check_earlier(out: Path, *, overwrite: bool) -> None:
    if overwrite and out.is_dir() and any(out.iterdir()) and not (out / FIGURES).is_file():
        raise OutputError(f"{out}: holds no {FIGURES}, so it is not an earlier demo and is not overwritten")


def collect(demo: Demo) -> None:
    """Unpack the text: docstrings of numpy, scipy, Python and others, and plain sentences of WordNet."""
    documents, sentences = read_documents(DOCUMENTS), plain_sentences()
    demo.held_out = read_documents(HELD_OUT)
    write_documents(demo.draft / CORPUS, documents, sentences)
    write_documents(demo.draft / "held-out.jsonl", demo.held_out)
    sample = "".join(f"{document.text}\n" for document in documents[:: len(documents) // SAMPLE][:SAMPLE])
    (demo.draft / "your-text.txt").write_text(sample, encoding="utf-8")
    notices = (DOCUMENTS.with_name("NOTICE.txt"), SENTENCES.with_name("LICENSE.txt"))
    (demo.draft / "NOTICE.txt").write_text("\n".join(file.read_text(encoding="utf-8") for file in notices), "utf-8")
    counts = {"documents": len(documents), "sentences": len(sentences), "held_out": len(demo.held_out)}
    demo.figures["text"] = counts
    demo.say(
        f"{len(documents):,} documents and {len(sentences):,} sentences to train on, {len(demo.held_out)} documents "
        "held out, no labels, nothing downloaded. A document and a sentence:",
        escape(f"{documents[0].text[:150]}…"),
        escape(sentences[0]),
    )


def measure_before(demo: Demo) -> None:
    """Measure the masked language model as it is."""
    demo.before = _measure(demo, SentenceEncoder.load(BASE).to(pick_device("auto")))
    demo.figures["before"] = demo.before.as_dict()
    score = demo.before.search
    demo.say(
        f"Each of {len(score.ranks)} held-out titles looks for its own text among all {len(score.ranks)}: "
        f"{score.recall_at_1.value:.0f} % stand first. (The base is cut from a sentence encoder; see its card.)"
    )


def train(demo: Demo) -> None:
    """Fine-tune it: two pieces of one document, or two views of one sentence, are to be nearest to each other."""
    with demo.show_progress() as progress:
        result = finetune(
            BASE,
            demo.draft / CORPUS,
            demo.draft / "model",
            unit="document",
            text_column="text",
            steps=demo.steps,
            verdict=False,  # the held-out titles and pairs tell it better
            progress=progress,
        )
    demo.tuned = result.encoder
    demo.figures["training"] = result.as_dict() | {"out": str(demo.out / "model")}
    demo.say(
        f"{result.stats.steps} steps over {result.stats.pairs:,} of them in {result.stats.train_seconds:.1f} s "
        f"({result.pairs_per_second:.0f} a second) on {result.stats.device}, {result.stats.precision}."
    )


def measure_after(demo: Demo) -> None:
    """Measure again and compare."""
    assert demo.tuned is not None  # an earlier stage trained it
    assert demo.before is not None
    demo.after = _measure(demo, demo.tuned)
    demo.figures["after"] = demo.after.as_dict()
    demo.say(score_table(demo.before, demo.after), *verdict(demo.before, demo.after))
    demo.say(results_table(demo.before.search.shown, demo.after.search.shown))


def export(demo: Demo) -> None:
    """Export it to ONNX, each graph proved against the model it came from."""
    with demo.show_progress() as progress:
        model, bundle = demo.draft / "model", demo.draft / "bundle"
        result = mirrorkit.export(model, bundle, precision=VARIANTS, optimize=False, progress=progress)
    demo.exported = result
    demo.figures["export"] = result.as_dict() | {"bundle": str(demo.out / "bundle")}
    demo.say(*export_report(result, demo.out / "bundle"))


def use_bundle(demo: Demo) -> None:
    """Use the bundle alone: ONNX Runtime, no torch."""
    assert demo.tuned is not None
    assert demo.after is not None
    assert demo.exported is not None
    published = [variant.name for variant in demo.exported.variants.values() if variant.published]
    demo.speeds = measure_speed(demo.draft / "bundle", published, demo.tuned)
    query = QUERIES[0]
    texts = {document.id: document.text for document in demo.held_out}
    hits = demo.after.search.shown[query]
    encoder = Encoder(demo.draft / "bundle")
    start = time.perf_counter()
    (vector,), found = encoder.encode([query]), encoder.encode([texts[hit.id] for hit in hits])
    seconds = time.perf_counter() - start
    cosines = [float(cosine) for cosine in found @ vector]
    demo.figures["bundle"] = {
        "variant": encoder.variant,
        "seconds": seconds,
        "query": query,
        "hits": [{"id": hit.id, "cosine": cosine} for hit, cosine in zip(hits, cosines, strict=True)],
        "speed": [asdict(speed) for speed in demo.speeds],
    }
    demo.say(speed_table(demo.speeds))
    demo.say(f"The first query again, {encoder.variant}, {seconds * 1e3:.0f} ms for it and the {len(hits)} texts:")
    for hit, cosine in zip(hits, cosines, strict=True):
        demo.say(escape(f"  {cosine:.3f} {hit.name} (torch {hit.cosine:.3f})"))


def show(demo: Demo) -> None:
    """Draw the ranks before and after, and write the page."""
    assert demo.before is not None
    assert demo.after is not None
    assert demo.exported is not None
    for name, dark in (("ranks.png", False), ("ranks-dark.png", True)):
        draw(demo.draft / name, demo.before.search, demo.after.search, dark=dark)
    page = html_page(
        demo.before,
        demo.after,
        training=demo.figures["training"],
        exported=demo.exported,
        speeds=demo.speeds,
        commands=next_commands(),
        cpu=f"{cpu_name()}, {usable_cores()} cores",
    )
    (demo.draft / PAGE).write_text(page, encoding="utf-8")
    demo.say(escape(f"{demo.out / 'ranks.png'}, and all of it in {demo.out / PAGE}"))


# In the order in which they run; each takes up what the earlier ones left in the Demo.
STAGES: tuple[Callable[[Demo], None], ...] = (
    collect,
    measure_before,
    train,
    measure_after,
    export,
    use_bundle,
    show,
)


def next_commands() -> list[str]:
    """Return shell commands that run as they stand in the demo's folder; your-text.txt there is for one's own file."""
    own = program()
    return [
        f"{own} finetune {BASE} your-text.txt --out my-model --overwrite",
        f"{own} eval model --search held-out.jsonl",
        f"{own} encode bundle your-text.txt -o vectors.npy --overwrite",
        f"{own} check bundle",
    ]


def _tell_end(demo: Demo, seconds: dict[str, float]) -> None:
    demo.say(
        f"\n[bold]Done in {seconds['total']:.0f} s, {seconds['train']:.0f} s of it the fine-tune with loading and "
        f"saving; all figures are in {escape(str(demo.out / FIGURES))}. Next:[/bold]",
        f"  cd {escape(shlex.quote(str(demo.out)))}",
        *(f"  {escape(command)}" for command in next_commands()),
        f"your-text.txt holds {SAMPLE} of the documents: put your own in its place, one text a line. In place of "
        f"{BASE}, the first command takes any masked language model: a folder or a hub id.",
    )


def _measure(demo: Demo, encoder: SentenceEncoder) -> Snapshot:
    with demo.show_progress() as progress:
        return take_snapshot(encoder, demo.held_out, QUERIES, progress)


def _silent() -> Console:
    from rich.console import Console

    return Console(quiet=True)
