"""What publishes something, each as a job that is over in a moment: how to run it, and how to see that it is whole."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TEXTS = [f"a sentence about number {i}" for i in range(12)]
DIM = 16  # of the vectors of the small model


@dataclass(frozen=True)
class Job:
    """A job that writes to `place / target`, whose inputs lie elsewhere."""

    target: str
    run: Callable[[Path, Path], None]  # inputs, target; ends with SystemExit as the command line does
    opens: Callable[[Path], None]  # raises unless the target is whole
    slow: bool = False


def command(*arguments: object) -> None:
    """Run the command line in this process."""
    from mirrorkit.cli.app import app

    app([str(a) for a in arguments], prog_name="mirrorkit", standalone_mode=True)


def finetune(inputs: Path, out: Path) -> None:
    small = ["--epochs", 1, "--batch-size", 4, "--max-length", 8, "--device", "cpu"]
    command("-q", "finetune", inputs / "model", inputs / "texts.txt", "-o", out, *small, "--overwrite")


def export(inputs: Path, out: Path) -> None:
    command("-q", "export", inputs / "model", "-o", out, "--variants", "fp32", "--no-optimize", "--overwrite")


def encode(inputs: Path, out: Path) -> None:
    command("-q", "encode", inputs / "bundle", inputs / "texts.txt", "-o", out, "--threads", 1, "--overwrite")


def shards(inputs: Path, out: Path) -> None:
    options = ["--threads", 1, "--keep", "text", "--overwrite"]
    command("-q", "encode", inputs / "bundle", inputs / "parts", "-o", f"{out}/", *options)


def search(inputs: Path, out: Path) -> None:
    """Write the vectors of what is searched into the cache, whatever it has of them."""
    from mirrorkit.finding import kept

    kept._entry = lambda *_: out
    kept._read = lambda *_: None
    command("-q", "search", inputs / "bundle", inputs / "texts.txt", "--query", TEXTS[0], "--threads", 1)


def adapt(inputs: Path, out: Path) -> None:
    """Publish what `adapt` publishes, of a map that nothing has to be fitted to."""
    from mirrorkit.formats.adapter import read_adapter, write_adapter
    from mirrorkit.publish import check_target, publish_folder
    from mirrorkit.terminal.boundary import boundary

    with boundary():
        check_target(out, overwrite=True)
        with publish_folder(out, overwrite=True) as draft:
            write_adapter(draft, read_adapter(inputs / "adapter"))
    sys.exit(0)


def attach(inputs: Path, out: Path) -> None:
    command("-q", "attach", inputs / "bundle", inputs / "adapter", "-o", out, "--overwrite")


def triton(inputs: Path, out: Path) -> None:
    command("-q", "triton", inputs / "bundle", "-o", out, "--device", "cpu", "--overwrite")


def operators(inputs: Path, out: Path) -> None:
    command("-q", "operators", inputs / "bundle", "-o", out)


def reports(_: Path, out: Path) -> None:
    """Write what `bench` writes, without the minutes of measuring."""
    from mirrorkit.bench.outputs import check_outputs, write_outputs
    from mirrorkit.terminal.boundary import boundary

    with boundary():
        check_outputs([out], out.parent / "bundle")
        write_outputs({out: json.dumps({"rows": list(range(3000))})})
    sys.exit(0)


def demo(_: Path, out: Path) -> None:
    """Publish what a demo publishes, without the minute of training."""
    from mirrorkit.demo import run
    from mirrorkit.terminal.boundary import boundary

    def train(made: run.Demo) -> None:
        """Write a page."""
        (made.draft / "bench.html").write_text("<p>whole</p>", encoding="utf-8")

    with boundary():
        run.STAGES = (train,)
        run.run_demo(out, overwrite=True)
    sys.exit(0)


def engine(_: Path, out: Path) -> None:
    """Publish what an engine build publishes, with a plan that no GPU has made."""
    from mirrorkit.publish import check_target, publish_folder
    from mirrorkit.terminal.boundary import boundary

    with boundary():
        check_target(out, overwrite=True)
        with publish_folder(out, overwrite=True) as draft:
            (draft / "model.engine").write_bytes(bytes(100_000))
            (draft / "manifest.json").write_text('{"kind": "mirrorkit-engine"}', encoding="utf-8")
    sys.exit(0)


def opens_model(out: Path) -> None:
    from mirrorkit import SentenceEncoder

    assert SentenceEncoder.load(out).encode(TEXTS[:2]).shape[0] == 2
    for name in ("README.md", "modules.json", "1_Pooling/config.json", "special_tokens_map.json"):
        assert (out / name).stat().st_size, name


def opens_bundle(out: Path) -> None:
    from mirrorkit import Encoder
    from mirrorkit.formats.bundle import check_file, read_bundle

    bundle = read_bundle(out)
    for name in bundle.files:
        check_file(bundle, name)
    assert Encoder(out, threads=1).encode(TEXTS[:2]).shape[0] == 2


def opens_npy(out: Path) -> None:
    import numpy as np

    assert np.isfinite(np.load(out)).all()
    assert len(np.load(out)) == len(TEXTS)


def opens_parquet(out: Path) -> None:
    from pyarrow import parquet

    assert parquet.read_table(out)["text"].to_pylist() == TEXTS


def opens_jsonl(out: Path) -> None:
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == TEXTS


def opens_shards(out: Path) -> None:
    """Raise unless every shard that is there is whole, and where `_SUCCESS` says that it is all, it is."""
    from pyarrow import parquet

    found = {file.name: parquet.read_table(file)["text"].to_pylist() for file in out.glob("*.parquet")}
    halves = {"0.txt.parquet": TEXTS[:6], "1.txt.parquet": TEXTS[6:]}
    assert all(halves[name] == texts for name, texts in found.items())
    for record in out.glob("_shards/*.json"):
        assert json.loads(record.read_text(encoding="utf-8"))["rows"] == 6
    if (out / "_SUCCESS").exists():
        assert found == halves
        assert json.loads((out / "_manifest.json").read_text(encoding="utf-8"))["rows"] == len(TEXTS)


def opens_entry(out: Path) -> None:
    """Raise unless what a search would take from the cache is all of it."""
    import numpy as np

    from mirrorkit.finding import kept

    _mended(out)
    found = kept._read(out, DIM)
    assert found is not None
    assert found[0].tobytes() == kept._keys(TEXTS).tobytes()
    assert np.isfinite(found[1]).all()


def opens_adapter(out: Path) -> None:
    import numpy as np

    from mirrorkit.formats.adapter import read_adapter

    _mended(out)
    assert read_adapter(out)(np.ones((2, DIM), np.float32)).shape == (2, DIM)


def opens_operators(out: Path) -> None:
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# operators of")
    assert text.endswith("\n")
    assert "ai.onnx;" in text


def _mended(out: Path) -> None:
    """Do what the next run to `out` does first; nothing else of ours reads it."""
    from mirrorkit.publish import repair

    repair(out)


def opens_triton(out: Path) -> None:
    _mended(out)
    models = json.loads((out / "triton.json").read_text(encoding="utf-8"))["model"]
    for name in (models, f"{models}_tokenizer", f"{models}_encoder"):
        assert (out / name / "config.pbtxt").stat().st_size
    assert (out / f"{models}_encoder" / "1" / "model.onnx").stat().st_size


def opens_demo(out: Path) -> None:
    _mended(out)
    json.loads((out / "demo.json").read_text(encoding="utf-8"))
    assert (out / "bench.html").read_text(encoding="utf-8") == "<p>whole</p>"


def opens_engine(out: Path) -> None:
    from mirrorkit import BundleError
    from mirrorkit.formats.engine import read_engine

    with suppress(BundleError):  # its manifest says but what kind it is
        read_engine(out)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["kind"] == "mirrorkit-engine"
    assert (out / "model.engine").stat().st_size == 100_000


def opens_report(out: Path) -> None:
    assert len(json.loads(out.read_text(encoding="utf-8"))["rows"]) == 3000


JOBS = {
    "finetune": Job("model", finetune, opens_model, slow=True),
    "export": Job("bundle", export, opens_bundle, slow=True),
    "encode npy": Job("out.npy", encode, opens_npy),
    "encode jsonl": Job("out.jsonl", encode, opens_jsonl),
    "encode parquet": Job("out.parquet", encode, opens_parquet),
    "encode shards": Job("shards", shards, opens_shards),
    "search": Job("entry", search, opens_entry),
    "adapt": Job("adapter", adapt, opens_adapter),
    "attach": Job("attached", attach, opens_bundle, slow=True),
    "triton": Job("repository", triton, opens_triton),
    "operators": Job("ops.config", operators, opens_operators),
    "engine": Job("engine", engine, opens_engine),
    "bench reports": Job("report.json", reports, opens_report),
    "demo": Job("demo", demo, opens_demo),
}


def make_inputs(inputs: Path) -> None:
    """Write a small random model, a bundle and texts."""
    from mirrorkit.assets.paths import TINY
    from tests.bundles import add_goldens, make_bundle
    from tests.faults.small import small_model

    inputs.mkdir()
    (inputs / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    (inputs / "parts").mkdir()
    for number, texts in enumerate((TEXTS[:6], TEXTS[6:])):
        (inputs / "parts" / f"{number}.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    small_model(inputs / "model", TINY)
    shutil.copytree(inputs / "model", inputs / "copy")
    make_bundle(inputs / "bundle", inputs / "copy")
    add_goldens(inputs / "bundle", TEXTS)
    make_adapter(inputs / "adapter", inputs / "bundle")


def make_adapter(folder: Path, bundle: Path) -> None:
    """Write an adapter that turns the vectors of a bundle round."""
    import numpy as np

    from mirrorkit import Encoder
    from mirrorkit.formats.adapter import Adapter, AdapterRecord, Recalls, Side, write_adapter

    encoder = Encoder(bundle, threads=1)
    turned = np.ascontiguousarray(np.eye(DIM, dtype=np.float32)[::-1])
    sides = Side(encoder.fingerprint, encoder.variant, DIM), Side("0" * 64, "fp32", DIM)
    recalls = Recalls(0.5, 1.0, 1.0, 20, 200)
    record = AdapterRecord("orthogonal", DIM, *sides, "cosine", True, recalls, "0" * 64, {})
    folder.mkdir()
    write_adapter(folder, Adapter(record, {"weight": turned, "bias": np.full(DIM, 0.01, np.float32)}))
