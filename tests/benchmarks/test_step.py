"""Where a training step goes: kinds of operators, the record and its table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.training import step


def test_an_operator_is_of_one_kind() -> None:
    names = (
        "aten::addmm",
        "aten::add_",
        "aten::fill_",
        "AddmmBackward0",
        "aten::gelu_backward",
        "aten::native_layer_norm",
    )
    kinds = [step.kind_of(name) for name in names]
    assert kinds == [
        step.PRODUCTS,
        "sums, products of elements",
        "fills",
        step.REST,
        "Gelu",
        "norms, softmax",
    ]
    sums = step.by_kind([("aten::mm", 2.0), ("aten::bmm", 1.0), ("unheard of", 9.0), ("aten::gelu", 0.5)])
    assert list(sums.items())[:2] == [(step.PRODUCTS, 3.0), ("Gelu", 0.5)]
    assert list(sums.items())[-1] == (step.REST, 9.0)


def test_a_step_is_measured_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, corpus = tmp_path / "README.md", tmp_path / "corpus.txt"
    page.write_text("<!-- step:begin -->\n<!-- step:end -->\n", encoding="utf-8")
    corpus.write_text("".join(f"a line of its own, number {n}\n" for n in range(12)), encoding="utf-8")
    given = ["--base", "tiny", "--corpus", str(corpus), "--threads", "1", "--autocast", "fp32", "--batch-size", "4"]
    where = ["--results", str(tmp_path / "results"), "--readme", str(page)]
    assert step.main([*given, *where, "--steps", "2"]) == 0
    (file,) = (tmp_path / "results").glob("step_*_fp32_*.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    assert (record["steps"], record["pairs"]) == (2, 8)
    assert record["flops"] > 0
    assert record["best_rate"] > 0
    assert 0 < record["kinds"][step.PRODUCTS] < sum(record["kinds"].values())
    told = page.read_text(encoding="utf-8")
    assert all(f"| {kind} |" in told for kind in step.KINDS)
    assert capsys.readouterr().out.strip() in told
    assert step.main([*given, *where, "--steps", "3"]) == 2
    assert "has 12 distinct strings, 16 are needed" in capsys.readouterr().err
