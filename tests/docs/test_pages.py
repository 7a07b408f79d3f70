"""Run every bash and Python block of the docs, in a folder with the files that its page speaks of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit.assets.paths import GRADED
from tests.bench.results import bench_result
from tests.docs.blocks import PAGES, ROOT, Block, blocks, differences, run
from tests.docs.commands import commands
from tests.shared import shallow, tuned

ELSEWHERE = {
    "README.md": "tests/test_readme.py",
    "examples/README.md": "tests/test_readme.py",
    "docs/integrations.md": "tests/integrations/test_page.py",
    "docs/serve.md": "tests/serving/test_page.py",
}
# Blocks that no test runs, and what they need that a machine may lack.
NOT_RUN = {
    "export/triton/README.md 0": "a Triton server",
}
NEEDS = {"docs/use.md": ["sentence_transformers", "tensorrt_rtx"]}  # modules without which a page is skipped
RUN_HERE = [page for page in PAGES if blocks(page) and page.relative_to(ROOT).as_posix() not in ELSEWHERE]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of what a reader of the docs is supposed to have, small."""
    home = tmp_path_factory.mktemp("reader")
    rows = GRADED.read_text(encoding="utf-8").splitlines()
    sentences = [sentence for row in rows[:40] for sentence in row.split("\t")[1:]]
    (home / "corpus.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    every = [sentence for row in rows for sentence in row.split("\t")[1:]]
    (home / "stored.txt").write_text("\n".join(every) + "\n", encoding="utf-8")
    (home / "questions.csv").write_text(
        "id,question\n" + "".join(f'{i},"{s}"\n' for i, s in enumerate(sentences)), encoding="utf-8"
    )
    words = sorted({word for s in sentences for word in s.rstrip(".").split()})
    (home / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    pairs = zip(words[:30], words[30:60], range(30), strict=False)
    (home / "pairs.tsv").write_text("".join(f"{a}\t{b}\t{i / 3:.2f}\n" for a, b, i in pairs), encoding="utf-8")
    (home / "handbook").mkdir()
    for i in range(0, len(sentences), 8):
        (home / "handbook" / f"{i}.md").write_text(" ".join(sentences[i : i + 8]), encoding="utf-8")
    documents = [{"title": s, "text": t} for s, t in zip(sentences[:20:2], sentences[1:20:2], strict=True)]
    (home / "handbook.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents), encoding="utf-8")
    (home / "run.json").write_text(json.dumps(bench_result().as_dict()), encoding="utf-8")
    return home


# What each page supposes besides; what it makes itself is not brought.
BRINGS: dict[str, list[str]] = {
    "docs/adapt.md": ["my-bundle", "stored.txt"],
    "docs/bench.md": ["run.json"],
    "docs/cluster.md": ["corpus.txt", "my-bundle"],
    "docs/evaluate.md": ["handbook.jsonl", "my-bundle"],
    "docs/export.md": ["corpus.txt", "my-encoder"],
    "docs/extend.md": ["corpus.txt"],
    "docs/finetune.md": ["corpus.txt", "handbook", "questions.csv"],
    "docs/use.md": ["my-encoder", "my-bundle"],
    "docs/words.md": ["words.txt", "pairs.tsv"],
}


# Pages that print figures of what they suppose; to the others two layers of the shipped model will do.
FIGURES = {"docs/use.md"}


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run_and_print_what_it_says(
    page: Path, files: Path, shipped: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    these = [block for block in blocks(page) if block.name not in NOT_RUN]
    if not these:
        pytest.skip("; ".join(f"{block.name} needs {NOT_RUN[block.name]}" for block in blocks(page)))
    name_of_page = these[0].page
    for module in NEEDS.get(name_of_page, []):
        pytest.importorskip(module, reason=f"needs {module}")
    tiny = shallow(shipped, tmp_path_factory)  # for no page shows a figure of a model that its commands train
    base, called = (shipped, "tuned") if name_of_page in FIGURES else (tiny, "tuned-shallow")
    for name in BRINGS[name_of_page]:
        source = files / name
        if name.startswith("my-"):
            source = tuned(base, tmp_path_factory, called) / name.removeprefix("my-").replace("encoder", "model")
        (shutil.copytree if source.is_dir() else _copy)(source, tmp_path / name)
    for block, printed in zip(these, run(these, tmp_path, commands(tmp_path, tiny)), strict=True):
        assert not differences(block, printed), differences(block, printed)[0]


def test_every_block_is_run_by_a_test_or_is_on_the_list() -> None:
    every: list[Block] = [block for page in PAGES for block in blocks(page)]
    named = {block.name for block in every}
    assert set(NOT_RUN) <= named, "the list names a block that is not there"
    lost = {b.page for b in every if b.page not in ELSEWHERE and b.page not in BRINGS and b.name not in NOT_RUN}
    assert not lost, f"say in BRINGS what these pages suppose: {', '.join(sorted(lost))}"
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())
    hidden = [page.name for page in (ROOT / "docs").rglob("*.md") if page not in PAGES]
    assert not hidden, hidden


_copy: Callable[[Path, Path], object] = shutil.copyfile
