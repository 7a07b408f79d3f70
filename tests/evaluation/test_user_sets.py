"""Score retrieval, search and labels as a user does: by the command, by the examples of the docs, through a bundle."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mirrorkit.cli.app import app
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.run import evaluate
from mirrorkit.evaluation.sets import read_task_sets

DOCS = Path(__file__).parents[2] / "docs" / "evaluate.md"
SECTION = DOCS.read_text(encoding="utf-8").partition("## Search and labels\n")[2].partition("\n## ")[0]
FILES = re.findall(r"^    (\S+\.(?:jsonl|tsv)) +(.+)$", SECTION, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the files that the docs show; of labels there must be more than two."""
    for name, line in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(line.replace("⇥", "\t") + "\n")
    with (tmp_path / "topics.tsv").open("a", encoding="utf-8") as file:
        for number in range(10):
            file.write(f"My card number {number} is lost.\tcard\nParcel {number} did not come.\tdelivery\n")
    return tmp_path


def wanted(folder: Path) -> dict[str, str]:
    names = {"retrieval": "pets", "search": "handbook.jsonl", "knn": "topics.tsv"}
    return {kind: str(folder / name) for kind, name in names.items()}


def test_the_command_of_the_docs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    (command,) = re.findall(r"^    mirrorkit (.+)$", SECTION, flags=re.MULTILINE)
    monkeypatch.chdir(folder)
    shown = CliRunner().invoke(app, shlex.split(command))
    assert (shown.exit_code, shown.stderr) == (0, ""), shown.stderr
    for word in ("pets", "nDCG@10", "MAP@100", "handbook", "title", "topics", "kNN accuracy", "V-measure", "95 %"):
        assert word in shown.stdout
    report = json.loads(CliRunner().invoke(app, [*shlex.split(command), "--json"]).stdout)
    assert list(report) == ["model", "retrieval", "search", "knn"]
    pets, handbook, topics = report["retrieval"]["pets"], report["search"]["handbook"], report["knn"]["topics"]
    assert (pets["queries"], pets["documents"], pets["kind"]) == (1, 2, "judged")
    assert (handbook["queries"], handbook["documents"], handbook["kind"]) == (2, 2, "title")
    assert (topics["texts"], topics["classes"]) == (22, 2)
    assert topics["accuracy"]["low"] <= topics["accuracy"]["value"] <= topics["accuracy"]["high"]


WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "transformers", "scipy", "sklearn", "faiss"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
"""


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_bundle_is_scored_without_torch_and_as_its_model_is(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, folder: Path
) -> None:
    for module, extra in (("torch", "train"), ("onnxscript", "export"), ("onnxruntime", "onnx")):
        pytest.importorskip(module, reason=f"needs the {extra} extra")
    from tests.bundles import bundle_of

    (folder / "my-bundle").symlink_to(bundle_of(tiny, ("fp32",), tmp_path_factory))
    code = f"""
import json
from mirrorkit.evaluation.run import evaluate
print(json.dumps(evaluate("my-bundle", threads=1, **{wanted(folder)}).as_dict()))
"""
    bundle = json.loads(run(code, folder))
    model = json.loads(json.dumps(evaluate(tiny, device="cpu", **wanted(folder)).as_dict()))  # type: ignore[arg-type]
    for kind in ("retrieval", "search", "knn"):
        assert bundle[kind] == model[kind]  # none of these rankings is close
    (example,) = re.findall(r"```python\n(.*?)```", SECTION, flags=re.DOTALL)
    value, low, high = map(float, run(example, folder).split())
    assert low <= value <= high
    assert value == model["search"]["handbook"]["mrr_at_10"]["value"]


BAD = {
    "no folder": (["--retrieval", "none"], "none: no such folder of a retrieval set"),
    "no qrels": (["--retrieval", "."], "neither qrels/SPLIT.tsv nor qrels.tsv"),
    "no such split": (["--retrieval", "pets", "--split", "dev"], "pets: no split 'dev', there are test"),
    "split of nothing": (["--search", "handbook.jsonl", "--split", "dev"], "--split needs --retrieval"),
    "no documents": (["--search", "none"], "none: no such file or folder of documents"),
    "no labels": (["--knn", "none.tsv"], "none.tsv: no such file of labelled texts"),
    "one label": (["--knn", "one.tsv"], "12 texts with 1 label"),
    "twice": (["--knn", "topics.tsv", "--knn", "copy/topics.tsv"], "knn: two are called topics"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(folder)
    Path("one.tsv").write_text("".join(f"text {i}\tcard\n" for i in range(12)), encoding="utf-8")
    Path("copy").mkdir()
    Path("copy/topics.tsv").write_bytes(Path("topics.tsv").read_bytes())
    arguments, part = BAD[case]
    result = CliRunner().invoke(app, ["eval", "no model", *arguments])
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert result.stderr.startswith("mirrorkit: ")
    assert result.stderr.count("\n") == 1
    assert part in result.stderr


def test_one_folder_or_several(folder: Path) -> None:
    sets = read_task_sets(folder / "pets", knn=[folder / "topics.tsv"])
    assert [(one.name, one.measure) for one in sets.each()] == [
        ("retrieval:pets", "ndcg_at_10"),
        ("knn:topics", "accuracy"),
    ]
    with pytest.raises(ConfigError, match="retrieval: two are called pets"):
        read_task_sets([folder / "pets", folder / "pets"])
