"""What a benchmark run is to do: options that can be measured, and texts to measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mirrorkit.bench.measure.candidates import Candidate, candidates
from mirrorkit.bench.measure.plan import BUDGETS, make_plan, make_shapes
from mirrorkit.bench.measure.workload import POOL, read_workload
from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError
from mirrorkit.evaluation.sts import SEVEN
from mirrorkit.formats.bundle import Bundle, FileRecord, Graph, Precision, Variant
from mirrorkit.formats.pooling import Pooling
from mirrorkit.machine.cores import default_threads


def described(*variants: str, max_length: int = 64) -> Bundle:
    """Return a bundle that is on no disk; the fused variant shares the weights of the plain one."""
    files = {f"onnx/{name}.onnx": FileRecord("0" * 64, 100 + len(name)) for name in variants}
    made = {}
    for name in variants:
        shared = ("onnx/fp32.onnx",) if name == "fp32-fused" else ()
        precision = Precision(name.removesuffix("-fused"))
        made[name] = Variant(name, f"onnx/{name}.onnx", precision, Graph.ONNX, shared)
    return Bundle(Path("/bundle"), "bert", 8, max_length, Pooling.MEAN, 0, made, files)


def chosen_of(bundle: Bundle, names: list[str] | None, baseline: str | None) -> list[Candidate]:
    return candidates(bundle, bundle.named(names), baseline, verify=True)


def test_without_options_the_usual_ones_that_the_bundle_takes() -> None:
    plan, shapes = make_plan(), make_shapes(described())
    assert (shapes.lengths, shapes.batches, plan.budget) == ((8, 32), (1, 8, 32), BUDGETS["quick"])
    assert plan.threads == default_threads()
    assert make_shapes(described(max_length=5)).lengths == (5,)
    assert make_shapes(described(max_length=512)).lengths == (8, 32, 128)


def test_options_are_kept_in_their_order_and_once() -> None:
    plan, shapes = make_plan(threads=3, budget="full"), make_shapes(described(), [64, 8, 64], (4, 4, 1))
    assert (plan.threads, shapes.lengths, shapes.batches, plan.budget.name) == (3, (64, 8), (4, 1), "full")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": -1}, "threads -1: must be"),
        ({"threads": 100_000}, "threads 100000: at most .* make sense on"),
        ({"budget": "slow"}, "budget 'slow': must be one of quick, full"),
    ],
)
def test_a_run_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plan(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": [8, 65]}, "lengths 65: /bundle takes at most 64 tokens"),
        ({"lengths": []}, "lengths: give at least one"),
        ({"lengths": [0]}, "lengths 0: must be a whole number of at least 1"),
        ({"batches": [0]}, "batches 0: must be"),
        ({"batches": [True]}, "batches True: must be"),
        ({"batches": [1_000_000]}, "batches 1000000 of lengths 32: more than 1,048,576 tokens"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_shapes(described(), **options)


def test_the_time_of_all_shapes_together_is_within_the_budget() -> None:
    for name, budget in BUDGETS.items():
        assert make_plan(budget=name).budget == budget
        shapes = make_shapes(described(max_length=512))
        assert shapes.seconds(budget, 6) * 6 * 11 * budget.max_rounds <= budget.seconds
        assert shapes.seconds(budget, 6) < shapes.seconds(budget, 2) <= budget.most_shape_seconds


def test_the_plain_fp32_variant_stands_in_for_a_baseline_and_shared_weights_count() -> None:
    found = chosen_of(described("fp32", "fp32-fused", "int8"), None, None)
    assert [(s.name, s.file) for s in found] == [
        ("baseline", "onnx/fp32.onnx"),
        ("fp32", "onnx/fp32.onnx"),
        ("fp32-fused", "onnx/fp32-fused.onnx"),
        ("int8", "onnx/int8.onnx"),
    ]
    assert [s.file_bytes for s in found] == [104, 104, 104 + 110, 104]
    chosen = chosen_of(described("fp32", "int8"), ["int8", "int8"], None)
    assert [s.name for s in chosen] == ["baseline", "int8"]


def test_a_model_folder_is_a_baseline_that_torch_runs(tiny: Path) -> None:
    baseline = chosen_of(described("int8"), None, str(tiny))[0]
    size = (tiny / "model.safetensors").stat().st_size
    assert (baseline.graph, baseline.file, baseline.file_bytes) == ("torch", "", size)


@pytest.mark.parametrize(
    ("held", "variants", "baseline", "message"),
    [
        (["fp32"], ["fp64"], None, "variant 'fp64': /bundle holds fp32"),
        (["int8"], None, None, "holds int8, but no fp32 variant to compare with; give a `baseline`"),
        ([], None, None, "/bundle: holds no variants"),
        (["fp32"], None, "/no/such/model", "/no/such/model: no such folder"),
    ],
)
def test_subjects_that_are_not_there_are_refused(
    held: list[str], variants: list[str] | None, baseline: str | None, message: str
) -> None:
    with pytest.raises(MirrorkitError, match=message):
        chosen_of(described(*held), variants, baseline)


def test_without_sets_the_shipped_ones_and_a_pool_filled_from_the_documentation() -> None:
    work = read_workload(None, 32)
    assert [(data.name, len(data)) for data in work.sets] == [("graded", 240)]
    assert len(work.graded) == len(set(work.graded)) == 480
    assert len(work.pool) == len(set(work.pool)) == POOL
    assert set(work.graded) <= set(work.pool)
    assert len(work.timed) == len(set(work.timed)) == 32
    assert work.texts[: len(work.graded)] == work.graded
    assert set(work.texts) == {*work.graded, *work.pool}


def write_sets(folder: Path, pairs: int) -> Path:
    """Write the seven sets of distinct sentences."""
    folder.mkdir()
    for task in SEVEN:
        rows = (f"{row % 6}\t{task} says {row}\tand {task} says {row + 1}" for row in range(pairs))
        (folder / f"{task}.tsv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_a_pool_is_two_thousand_sentences_of_the_sets(tmp_path: Path) -> None:
    work = read_workload(write_sets(tmp_path / "sts", 200), 100)
    assert ([data.name for data in work.sets], len(work.graded)) == (list(SEVEN), 7 * 400)
    assert len(work.pool) == len(set(work.pool)) == POOL
    assert set(work.pool) <= set(work.graded)


def test_a_text_of_megabytes_is_scored_and_not_timed(tmp_path: Path) -> None:
    folder = write_sets(tmp_path / "sts", 20)
    with (folder / "stsb-test.tsv").open("a", encoding="utf-8") as file:
        file.write(f"\n3\t{'x' * 2_000_000}\ta text\n")
    work = read_workload(folder, 1000)
    assert max(map(len, work.graded)) == 2_000_000
    assert max(map(len, work.timed)) < 100
    assert len(work.timed) == len(work.graded) - 1


def test_sets_that_cannot_be_ranked_are_refused(tmp_path: Path) -> None:
    folder = write_sets(tmp_path / "sts", 8)
    (folder / "sts14.tsv").write_text("3\ta\tb\n3\tc\td\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="all pairs of sts14 have the score 3"):
        read_workload(folder, 8)
    with pytest.raises(CorpusError, match=r"no sts12\.tsv"):
        read_workload(tmp_path, 8)
