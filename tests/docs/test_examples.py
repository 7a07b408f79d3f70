"""Every public name is on the page about Python with an example, and every example gives what it says."""

from __future__ import annotations

import ast
import doctest
import inspect
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

import mirrorkit
from mirrorkit.assets.paths import GRADED
from mirrorkit.bench.measure.plan import BUDGETS
from mirrorkit.evaluation.sts import SEVEN
from mirrorkit.model import hub
from tests.bench.results import bench_result, with_subject
from tests.lookups import SMALL
from tests.shared import shallow, tuned

ROOT = Path(__file__).parents[2]
DOCS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "export").rglob("README.md")),
    ROOT / "examples" / "README.md",
]
NAMES = [name for name in mirrorkit.__all__ if name != "__version__"]
NEEDS = {
    "build_engine": "tensorrt_rtx",
    "rebuild_engine": "tensorrt_rtx",
    "EngineResult": "tensorrt_rtx",
    "MtebEncoder": "mteb",
}
SLOW = re.compile(r'"(bundle|model)"|finetune\((?!.*epochs=0)')  # needs what took half a minute to make, or trains


def examples() -> dict[str, doctest.DocTest]:
    """Return the examples of every public name and of its public methods."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in NAMES for test in finder.find(getattr(mirrorkit, name), name, globs={})]
    return {test.name: test for test in found if test.examples}


EXAMPLES = examples()


def cases() -> Iterator[Any]:
    for name, test in EXAMPLES.items():
        slow = SLOW.search("".join(example.source for example in test.examples))
        yield pytest.param(name, id=name, marks=[pytest.mark.slow] if slow else [])


@pytest.fixture(scope="module", autouse=True)
def as_it_ships(shipped: Path) -> Iterator[None]:
    """Let `tiny` be what it is for a reader, not the slice of it that other tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(hub.SHIPPED, "tiny", shipped)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the small files that the examples read."""
    home = tmp_path_factory.mktemp("examples")
    rows = GRADED.read_text(encoding="utf-8").splitlines()
    sentences = [sentence for row in rows for sentence in row.split("\t")[1:]]
    (home / "corpus.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    (home / "texts").mkdir()
    for number in range(3):
        lines = [{"id": f"{number}-{i}", "text": text} for i, text in enumerate(sentences[number::3])]
        (home / "texts" / f"{number}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines), encoding="utf-8")
    (home / "sts").mkdir()
    for number, task in enumerate(SEVEN):
        (home / "sts" / f"{task}.tsv").write_text("\n".join(rows[number::7]) + "\n", encoding="utf-8")
    handbook = [
        {"title": "Holidays", "text": "Ask two weeks before you leave, in writing, and name who does your work."},
        {"title": "Sick leave", "text": "Call before nine on the first day; a doctor's note is due on the third."},
    ]
    (home / "handbook.jsonl").write_text("".join(json.dumps(row) + "\n" for row in handbook), encoding="utf-8")
    topics = [f"My card is blocked, line {i}.\tcard\nWhere is my parcel {i}?\tdelivery\n" for i in range(6)]
    (home / "topics.tsv").write_text("".join(topics), encoding="utf-8")
    pets = home / "pets"
    (pets / "qrels").mkdir(parents=True)
    texts = {"d1": "They sleep for most of the day.", "d2": "They bark at those whom they do not know."}
    documents = [json.dumps({"_id": one, "text": text}) for one, text in texts.items()]
    (pets / "corpus.jsonl").write_text("\n".join(documents) + "\n", encoding="utf-8")
    (pets / "queries.jsonl").write_text('{"_id": "q1", "text": "how long do cats sleep"}\n', encoding="utf-8")
    (pets / "qrels" / "test.tsv").write_text("q1\td1\t1\n", encoding="utf-8")
    results = {"before": bench_result(), "after": with_subject(bench_result(), "int8", cosine_min=0.9)}
    for name, result in results.items():
        (home / f"{name}.json").write_text(json.dumps(result.as_dict()), encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def small(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a base as wide as `tiny` that is trained and exported sooner."""
    return shallow(shipped, tmp_path_factory)


@pytest.fixture(scope="module")
def made(data: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Add the folder `model`, a short fine-tune, and `bundle`, its export."""
    for name in ("model", "bundle"):
        shutil.copytree(tuned(small, tmp_path_factory, "tuned-shallow") / name, data / name)
    return data


@pytest.mark.parametrize("name", cases())
def test_an_example_gives_what_it_says(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = EXAMPLES[name]
    if needed := NEEDS.get(name):
        pytest.importorskip(needed, reason=f"needs {needed}")
    slow = any(mark.name == "slow" for mark in request.node.iter_markers())
    if slow:
        monkeypatch.setitem(hub.SHIPPED, "tiny", request.getfixturevalue("small"))
    home = tmp_path / "here"
    shutil.copytree(request.getfixturevalue("made" if slow else "data"), home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(BUDGETS, "quick", SMALL)  # a minute is more than it takes to see that the call works
    told: list[str] = []
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed = doctest.DocTestRunner(optionflags=options).run(test, out=told.append, clear_globs=False).failed
    assert not failed, "".join(told)


def test_every_public_name_has_an_example() -> None:
    """Errors share the one of their base, the others have their own."""
    errors = {name for name in NAMES if _is_error(getattr(mirrorkit, name))} - {"MirrorkitError"}
    assert {name for name in NAMES if name not in errors and name not in EXAMPLES} == set()


def test_no_other_docstring_has_an_example_that_nothing_runs() -> None:
    written = sum(len(re.findall(r"^ +>>> from", file.read_text("utf-8"), re.MULTILINE)) for file in _modules())
    imports = [e for test in EXAMPLES.values() for e in test.examples if e.source.startswith("from")]
    assert written == len(imports)


def test_the_page_documents_what_is_exported_and_nothing_else() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == NAMES
    assert not [name for name in NAMES if not (getattr(mirrorkit, name).__doc__ or "").strip()]


def test_what_the_docs_name_is_exported() -> None:
    for file in DOCS:
        text = file.read_text(encoding="utf-8")
        for module, names in re.findall(r"from (mirrorkit(?:\.\w+)*) import ([\w, ]+)", text):
            if module.startswith("mirrorkit.integrations."):
                assert {name.strip() for name in names.split(",")} <= _exported(module), file.name
                continue
            assert module == "mirrorkit", f"{file.name}: {module} is not public"
            assert {name.strip() for name in names.split(",")} <= set(NAMES), file.name
        called = set(re.findall(r"\bmirrorkit\.(\w+)(?=[.(])", text)) - {"integrations"}
        assert called <= set(NAMES), f"{file.name}: {called - set(NAMES)}"


def _exported(module: str) -> set[str]:
    """Return what an adapter says is public; it is not imported, as its library may be absent."""
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    (names,) = (n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__")
    return set(ast.literal_eval(names))


def _is_error(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseException)


def _modules() -> list[Path]:
    return sorted(Path(mirrorkit.__file__).parent.rglob("*.py"))
