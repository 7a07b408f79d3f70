"""Score what a user names: options that exclude each other, data read first, and a bundle without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import BundleError, ConfigError, CorpusError, ModelError
from mirrorkit.evaluation.run import evaluate
from mirrorkit.formats.bundle import MANIFEST
from tests.told import Told

Benchmark = dict[str, Path]


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    """Return a small file of every kind, by the option that takes it."""
    folder = tmp_path / "data"
    folder.mkdir()
    contents = {
        "lexical": (
            "verbs.txt",
            "take\tremove\tV\t6.8\tSYNONYMS\nwalk\ttrail\tV\t4.8\tNONE\nfeed\tstarve\tV\t1.5\tX\n",
        ),
        "bli": ("en-fr.txt", "sea mer\ndog chien\ntree arbre\nthe le\nthe la\n"),
        "qnli": (
            "dev.tsv",
            "index\tquestion\tsentence\tlabel\n"
            "0\tWho sang?\tAnna sang.\tentailment\n1\tWho sang?\tIt rained.\tnot_entailment\n"
            "2\tWhen was it?\tIt was in 1990.\tentailment\n3\tWhere is it?\tHe slept.\tnot_entailment\n",
        ),
        "dictionary": ("names.tsv", "heart attack\tD1\nflu\tD2\ncold\tD3|D4\n"),
        "mentions": ("mentions.tsv", "attack of the heart\tD1\ncolds\tD4\n"),
        "translation": ("translation.csv", "ID,ENG 1,ENG 2,FRA 1,FRA 2\n1,sea,lake,mer,lac\n2,dog,tree,chien,arbre\n"),
        "scores": ("scores.csv", "ID,ENG,FRA\n1,3.5,3.2\n2,0.5,0.7\n"),
        "sts": ("stsb-fr.csv", '"Un homme, assis",Un homme,4.5\nIl pleut,Le chat dort,0.5\nOui,Non,1.5\n'),
    }
    for name, content in contents.values():
        (folder / name).write_text(content, encoding="utf-8")
    return {option: folder / name for option, (name, _) in contents.items()}


def everything(benchmark: Benchmark) -> dict[str, object]:
    folder = benchmark["lexical"].parent
    return {
        "sts": folder,
        "tasks": ["stsb-fr"],
        "lexical": [benchmark["lexical"]],
        "multisimlex": folder,
        "bli": benchmark["bli"],
        "qnli": benchmark["qnli"],
        "entities": (benchmark["dictionary"], benchmark["mentions"]),
    }


WITHOUT_TORCH = """
import json, sys
from pathlib import Path
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
from mirrorkit.evaluation.run import evaluate
options = json.loads(sys.argv[2])
print(json.dumps(evaluate(sys.argv[1], **options).as_dict()))
"""


def test_a_bundle_is_scored_without_torch_and_as_its_model_is(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, benchmark: Benchmark
) -> None:
    for module, extra in (("torch", "train"), ("onnxscript", "export"), ("onnxruntime", "onnx")):
        pytest.importorskip(module, reason=f"needs the {extra} extra")
    from tests.bundles import bundle_of

    bundle = bundle_of(tiny, ("fp32",), tmp_path_factory)
    options = everything(benchmark)
    model = evaluate("tiny", device="cpu", **options).as_dict()  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(bundle), json.dumps({**options, "threads": 1}, default=str)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report.pop("model"), report.pop("variant"), model.pop("model")) == (str(bundle), "fp32", "tiny")
    assert list(report) == ["tasks", "average", "lexical", "bli", "qnli", "entities"]
    assert list(report["lexical"]) == ["verbs", "multisimlex-ENG", "multisimlex-FRA"]
    assert [list(report[kind]) for kind in ("tasks", "bli", "qnli", "entities")] == [
        ["stsb-fr"],
        ["en-fr"],
        ["dev"],
        ["mentions"],
    ]
    ours, theirs = flat(report), flat(model)
    assert list(ours) == list(theirs)
    assert np.allclose(list(ours.values()), list(theirs.values()), atol=1e-2)
    assert ours["bli.en-fr.sources"] == 4
    assert ours["entities.mentions.names"] == 3


def flat(report: object, prefix: str = "") -> dict[str, float]:
    if not isinstance(report, dict):
        assert isinstance(report, (int, float))
        return {prefix: report}
    return {
        key: number
        for name, value in report.items()
        for key, number in flat(value, f"{prefix}.{name}" if prefix else name).items()
    }


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"tasks": ["x"]}, "`tasks` needs `sts`"),
    ({"qnli": ["qnli"], "tasks": ["x"]}, "`tasks` needs `sts`"),
    ({"qnli": ["qnli"], "geometry": True}, "`geometry` needs `sts`"),
    ({"lexical": ["lexical"], "languages": ["ENG"]}, "`languages` needs `multisimlex`"),
    ({"lexical": ["lexical"], "bli_candidates": "bli"}, "`bli_candidates` goes with one file of `bli`, not 0"),
    ({"bli": ["bli", "bli"], "bli_candidates": "bli"}, "`bli_candidates` goes with one file of `bli`, not 2"),
    ({"bli": ["bli", "bli"]}, "two files are called en-fr"),
    ({"lexical": ["lexical"], "threads": 2}, "`threads` is for bundles"),
    ({"lexical": ["lexical"], "variant": "fp32", "pooling": "mean"}, "`pooling` is for model folders"),
]


@pytest.mark.parametrize(("options", "complaint"), REFUSED)
def test_options_that_do_not_go_together(benchmark: Benchmark, options: dict[str, object], complaint: str) -> None:
    def named(value: object) -> object:
        if isinstance(value, list):
            return [named(v) for v in value]
        return benchmark.get(value, value) if isinstance(value, str) else value

    with pytest.raises(ConfigError, match=complaint):
        evaluate("no model", **{option: named(value) for option, value in options.items()})  # type: ignore[arg-type]


def test_without_data_the_shipped_set_is_scored_and_that_is_said(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    own = evaluate(tiny, sts=GRADED.parent, tasks=[GRADED.stem], geometry=True, device="cpu")
    assert caplog.records == []
    shipped = evaluate(tiny, geometry=True, device="cpu", qnli=[])
    assert shipped == own
    assert [record.getMessage() for record in caplog.records] == [
        "no data given: scoring on the shipped graded set; give `sts`, a folder of sets, to use another"
    ]


@pytest.mark.parametrize("kind", ["lexical", "bli", "qnli", "dictionary", "mentions", "scores", "sts"])
def test_a_bad_row_is_named_before_the_model_is_looked_for(benchmark: Benchmark, kind: str) -> None:
    with benchmark[kind].open("a", encoding="utf-8") as file:
        file.write("alone\n")
    line = benchmark[kind].read_text(encoding="utf-8").count("\n")
    with pytest.raises(CorpusError) as caught:
        evaluate("no model", **everything(benchmark))  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{benchmark[kind]}, line {line}: ")


def test_what_is_no_model_is_named(tmp_path: Path, benchmark: Benchmark) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    with pytest.raises(ModelError, match="no such folder"):
        evaluate(tmp_path / "none", lexical=benchmark["lexical"])
    with pytest.raises(BundleError, match="none"):
        evaluate(tmp_path / "none", lexical=benchmark["lexical"], variant="int8")
    (tmp_path / MANIFEST).write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="schema_version must be a whole number"):
        evaluate(tmp_path, lexical=benchmark["lexical"])


def test_one_file_or_several(tiny: Path, benchmark: Benchmark) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    second = benchmark["lexical"].with_name("more verbs.txt")
    second.write_bytes(benchmark["lexical"].read_bytes())
    told = Told()

    def scores(files: Path | Sequence[Path]) -> object:
        return evaluate(tiny, lexical=files, device="cpu", progress=told).lexical

    one, both = scores(benchmark["lexical"]), scores([benchmark["lexical"], second])
    assert isinstance(one, dict)
    assert both == {"verbs": one["verbs"], "more verbs": one["verbs"]}
    assert told.steps[-1][:2] == (6, 6)
