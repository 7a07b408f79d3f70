"""Whether growth is told rightly: fits by hand, verdicts at their edges, points, texts, a record that goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.growth import __main__ as program
from benchmarks.growth import making, report
from benchmarks.growth.fit import Slope, each, fit
from benchmarks.growth.series import SERIES, TEXTS, chosen, points
from mirrorkit.errors import ConfigError
from mirrorkit.model.hub import locate_model
from tests.bundles import bundle_of


def test_a_power_law_is_found_and_its_interval_is_that_of_scipy() -> None:
    linregress = pytest.importorskip("scipy.stats").linregress
    sizes = [10.0**n for n in range(2, 7)] * 2
    values = [0.003 * size**1.07 * noise for size, noise in zip(sizes, [1.02, 0.97, 1.01, 1, 0.99] * 2, strict=True)]
    found = fit(sizes, values)
    assert found is not None
    reference = linregress(np.log(sizes), np.log(values))
    assert found.slope == pytest.approx(reference.slope, abs=1e-12)
    assert (found.high - found.low) / 2 == pytest.approx(2.306004 * reference.stderr, rel=1e-6)  # t of 8 degrees
    assert found.low < 1.07 < found.high


def test_too_few_points_have_no_interval() -> None:
    assert fit([1, 10], [1, 10]) is None
    assert fit([5, 5, 5], [1, 2, 3]) is None


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.95, 1.05, "linear"),
        (0.9, 1.1, "linear"),
        (0.85, 1.05, "undecided"),
        (0.7, 1.3, "undecided"),
        (1.11, 1.2, "not linear"),
        (0.1, 0.89, "not linear"),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, said: str) -> None:
    assert Slope((low + high) / 2, low, high, 9).verdict(1, 0.1, "linear") == said


def test_what_one_more_costs_is_the_slope_of_a_line() -> None:
    assert each([1_000, 2_000, 4_000], [5e6 + 12 * n for n in (1_000, 2_000, 4_000)]) == pytest.approx(12)


def test_small_points_come_in_every_round_and_large_ones_once() -> None:
    found = list(points(SERIES["encode-texts"], 3))
    assert found.count((1_000, 0)) == 1
    assert [size for size, _ in found].count(10_000) == 3
    assert [size for size, _ in found].count(1_000_000) == 1


@pytest.mark.parametrize(("names", "largest"), [("encode", None), ("encode-texts,", None), ("encode-texts", 10)])
def test_series_that_cannot_be_are_refused(names: str, largest: int | None) -> None:
    with pytest.raises(ConfigError, match=r"must be of|leaves no point"):
        chosen(names, largest)


def test_texts_have_the_tokens_that_are_said(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    tiny = locate_model("tiny").folder
    rows = 12_000  # more than it has: the rest are made
    folder = making.make_model(tiny, rows, tmp_path / "model", making.NARROW)
    pieces = making.grown(making.pieces_of(tiny), rows)
    assert len(set(pieces)) == rows
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    assert tokenizer.get_vocab_size() == rows
    file = making.write_texts(tmp_path / "texts.txt", making.words_of(pieces), 30, 20)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert {len(tokenizer.encode(line).ids) for line in lines} == {30 + making.SPECIAL}
    assert lines == list(making.texts(making.words_of(pieces), 30, 20))


def test_a_vocabulary_too_small_for_the_special_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave out its special token"):
        making.make_model(locate_model("tiny").folder, 3, tmp_path / "model", making.NARROW)


def test_the_arithmetic_is_that_of_the_layers() -> None:
    config = {"hidden_size": 4, "num_hidden_layers": 2, "intermediate_size": 8}
    by_hand = 2 * (4 * 2 * 3 * 4 * 4 + 2 * 2 * 3 * 4 * 8)  # four square products and two of the feed-forward part
    by_hand += 2 * (2 * 3 * 3 * 4 + 2 * 3 * 3 * 4)  # scores, and the mix of values
    assert making.work_of(config, 3) == by_hand


def record(**more: Any) -> dict[str, Any]:
    runs = [
        {
            "series": "encode-texts",
            "size": size,
            "round": number,
            "threads": 1,
            "load_average": 0.5,
            "units": size,
            "variant": "int8-fused",
            "cpu_seconds": size * 1e-3 * (1 + 0.01 * number),
            "peak_memory_bytes": 100_000_000 + size // 100,
        }
        for size in (1_000, 10_000, 100_000)
        for number in (0, 1)
    ]
    long = [{**runs[0], "series": "encode-length", "size": 8, "units": 4_096, "cpu_seconds": 4.096}]
    return {
        "bundle": "some",
        "date": "2026-01-01",
        "hardware": {"cpu": "A CPU", "cores": 4, "gpu": None, "load_average": 0.5},
        "versions": {"python": "3.11"},
        "config": {"hidden_size": 4, "num_hidden_layers": 2, "intermediate_size": 8},
        "runs": [*runs, *long],
        "left_out": {"encode-texts/1000000": "more than 100,000 texts"},
        **more,
    }


def test_the_page_tells_verdicts_and_a_price_only_where_one_is_given(tmp_path: Path) -> None:
    page, file = tmp_path / "growth.md", tmp_path / "growth_some.json"
    page.write_text("# Growth\n<!-- growth:begin -->\n<!-- growth:end -->\n", encoding="utf-8")
    file.write_text(json.dumps(record()), encoding="utf-8")
    report.write(file, page=page)
    told = page.read_text(encoding="utf-8")
    assert "**linear**" in told
    assert "**flat**" in told
    assert "0.0 |" in told  # bytes for one more text
    assert "an hour |" not in told
    assert "Not run: encode-texts/1000000 (more than 100,000 texts)." in told
    assert (tmp_path / "growth.png").stat().st_size > 1_000
    report.write(file, price=0.5, cores=2, page=page)
    # 10^9 texts of a millisecond are 277.8 hours of a core, 138.9 of two, and half as much money
    assert "| 8 | 1.000 | 278 |" in page.read_text(encoding="utf-8")
    assert "| 139 | 69.44 |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "`bundle` and `model`"),
        (["b", "--model", "m", "--rounds", "0"], "`rounds` 0"),
        (["--report", "r", "--price", "-1"], "`price` -1"),
        (["--report", "r", "--price", "nan"], "`price` nan"),
        (["--report", "r", "--cores", "0"], "`cores` 0"),
        (["b", "--model", "m", "--series", "x"], "series 'x'"),
        (["no-such-bundle", "--model", "m"], "no-such-bundle"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    options: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["growth", *options])
    assert program.main() == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_record_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bundle = bundle_of(tiny, ("fp32",), tmp_path_factory)
    measured: list[int] = []

    def run(_self: object, _series: object, size: int) -> dict[str, Any]:
        measured.append(size)
        if len(measured) == 3:
            raise ConfigError("stopped")
        return {"units": size, "cpu_seconds": size * 1e-3, "peak_memory_bytes": 10**8, "variant": "int8"}

    monkeypatch.setattr(program.Making, "run", run)
    options = [
        "growth",
        str(bundle),
        "--model",
        str(tiny),
        "--results",
        str(tmp_path),
        "--work",
        str(tmp_path / "work"),
    ]
    monkeypatch.setattr("sys.argv", [*options, "--series", "encode-texts", "--rounds", "2", "--largest", "10000"])
    monkeypatch.setattr("benchmarks.growth.report.write", lambda *_, **__: None)
    assert program.main() == 2
    assert program.main() == 0
    assert measured == [1_000, 10_000, 1_000, 1_000, 10_000]  # the one that was stopped is measured again
    (file,) = tmp_path.glob("growth_*.json")
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert len(kept["runs"]) == 4
    assert set(kept["left_out"]) == {"encode-texts/100000", "encode-texts/1000000"}
    assert SERIES["encode-texts"].axis == TEXTS
