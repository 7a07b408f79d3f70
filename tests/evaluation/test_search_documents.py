"""Searches made of documents alone: what is the query, what is searched, and which documents are read."""

from __future__ import annotations

import gzip
import json
import logging
import lzma
from pathlib import Path

import pytest

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.documents import Document, evaluate_search, read_documents, read_search, search_set
from mirrorkit.evaluation.search import MEASURES, SearchSet
from tests.evaluation.fakes import Drawn, write_jsonl

BODY = "It sleeps for most of the day and hunts at night, mice above all. "


def pairs(data: SearchSet) -> dict[str, list[str]]:
    """Return the texts that are right for the text of each query."""
    return {data.queries[q]: [data.documents[d] for d in right] for q, right in data.relevant.items()}


def test_titles_find_their_texts() -> None:
    data = search_set("pets", [Document("The house cat", BODY), Document("The dog of the house", "Barks. " * 9)])
    assert pairs(data) == {"The house cat": [BODY], "The dog of the house": ["Barks. " * 9]}
    assert (data.kind, data.main, data.outside) == ("title", "mrr_at_10", 0)


def test_first_sentences_find_the_rest_where_most_have_no_title() -> None:
    texts = [f"A cat of kind {i} is a pet. {BODY}Number {i}." for i in range(3)]
    data = search_set("pets", [*(Document("", text) for text in texts), Document("A title above", BODY)])
    assert data.kind == "first sentence"
    assert pairs(data)["A cat of kind 1 is a pet."] == [f"{BODY}Number 1."]
    assert len(data.queries) == 3
    assert f"A title above {BODY}".strip() in data.documents.values()  # has one sentence alone, so it is only searched


@pytest.mark.parametrize(
    ("text", "query", "rest"),
    [
        ("Oh. Yes, the cat sleeps. " + BODY, "Oh. Yes, the cat sleeps.", BODY.strip()),
        ('"Cats sleep!" he said to me. ' + BODY, '"Cats sleep!', "he said to me. " + BODY.strip()),
        (
            "猫は一日の大半を寝て過ごします。" + "夜になると狩りをします。" * 5,
            "猫は一日の大半を寝て過ごします。",
            "夜になると狩りをします。" * 5,
        ),
    ],
)
def test_where_the_first_sentence_ends(text: str, query: str, rest: str) -> None:
    data = search_set("one", [Document("", text), Document("", "A second one is here. " + BODY * 2)])
    assert pairs(data)[query] == [rest]


def test_crops_find_the_other_half_where_there_are_no_sentences() -> None:
    words = [f"word{i}" for i in range(120)]
    japanese = "夜に狩りをして昼は寝て過ごす猫は家の中で鼠を捕る" * 5
    data = search_set("words", [Document("", " ".join(words)), Document("", japanese), Document("", "too short")])
    assert data.kind == "crop"
    found = pairs(data)
    (query, (rest,)), (half, (other,)) = found.items()
    assert query == " ".join(words[: len(query.split())])
    assert 150 < len(query) <= 250
    assert rest == " ".join(words[-len(rest.split()) :])
    assert len(query.split()) + len(rest.split()) <= 120  # the two have no word in common
    assert half + other == japanese
    assert "too short" in data.documents.values()


def test_what_repeats_is_one_document_and_what_is_shared_has_several_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    documents = [
        Document("The title", BODY + "a"),
        Document("The title", BODY + "b"),
        Document("Another title", BODY + "a"),
        Document("", "searched alone"),
    ]
    with caplog.at_level(logging.WARNING, "mirrorkit"):
        data = search_set("pets", documents)
    assert pairs(data) == {"The title": [BODY + "a", BODY + "b"], "Another title": [BODY + "a"]}
    assert len(data.documents) == 3
    assert caplog.messages == [
        "pets: 1 documents repeat the text of another and are left out",
        "pets: 1 documents give no query (no title) and are only searched",
    ]


@pytest.mark.parametrize("documents", [[], [Document("", BODY * 2)] * 3, [Document("", "a"), Document("", "b")]])
def test_too_little_to_search(documents: list[Document]) -> None:
    with pytest.raises(CorpusError, match=r"pets: \d different documents, of which \d give a query"):
        search_set("pets", documents)


def test_the_formats(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the parquet extra")
    arrow = pytest.importorskip("pyarrow")
    both: list[dict[str, object]] = [{"title": "Cats", "text": "They sleep."}, {"title": None, "text": "They bark."}]
    expected = [Document("Cats", "They sleep."), Document("", "They bark.")]
    write_jsonl(tmp_path / "a.jsonl", [{**row, "id": 7} for row in both])
    (tmp_path / "a.csv").write_text('Title,BODY,n\nCats,"They\nsleep.",1\n,They bark.,2\n', encoding="utf-8")
    (tmp_path / "a.tsv").write_text("title\ttext\nCats\tThey sleep.\n\tThey bark.\n", encoding="utf-8")
    parquet.write_table(arrow.Table.from_pylist(both), tmp_path / "a.parquet")
    for suffix in ("jsonl", "csv", "tsv", "parquet"):
        assert read_documents(tmp_path / f"a.{suffix}") == expected, suffix
    (tmp_path / "one.csv").write_text("anything\nThey sleep.\n", encoding="utf-8")
    assert read_documents(tmp_path / "one.csv") == [Document("", "They sleep.")]


def test_plain_text_is_parted_at_blank_lines_or_else_at_every_line(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("They sleep\nall day.\r\n\r\nThey bark.\n \nThey leave.\n", encoding="utf-8")
    assert [d.text for d in read_documents(file)] == ["They sleep all day.", "They bark.", "They leave."]
    file.write_text("They sleep.\nThey bark.\n", encoding="utf-8")
    assert [d.text for d in read_documents(file)] == ["They sleep.", "They bark."]


def test_a_folder_of_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = tmp_path / "notes"
    for name, content in {
        "a.md": b"# Cats ##\n\nThey sleep\nall day.\n",
        "b.txt": b"They bark.\nAt night too.\n",
        "deeper/c.rst": b"Trains\n\nThey leave.",
        "deeper/d.txt": b"\xff\xfe\x00",
        "e.png": b"\x89PNG",
        "f.txt": b"zero \0 byte",
        ".hidden/g.txt": b"not seen",
        "empty.txt": b"",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    write_jsonl(home / "rows.jsonl", [{"text": "A row."}])
    with caplog.at_level(logging.WARNING, "mirrorkit"):
        found = read_documents(home)
    assert found == [
        Document("Cats", "They sleep all day."),
        Document("", "They bark. At night too."),
        Document("Trains", "They leave."),
        Document("", "A row."),
    ]
    assert caplog.messages == [
        f"{home}: 3 files are not documents and are left out, such as {home}/deeper/d.txt, "
        "line 1: byte 0x00 is not utf-16; give the `encoding` that the whole file is in"
    ]


def test_a_packed_file_and_an_array_are_read_as_what_they_are(tmp_path: Path) -> None:
    rows = [{"title": "Cats", "text": "They sleep all day."}, {"title": "Dogs", "text": "They bark."}]
    expected = [Document(row["title"], row["text"]) for row in rows]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    (tmp_path / "b.json").write_bytes(lines)
    (tmp_path / "a.csv.xz").write_bytes(lzma.compress(b"title;text\nCats;They sleep all day.\nDogs;They bark.\n"))
    for name in ("a.jsonl.gz", "a.json", "b.json", "a.csv.xz"):
        assert read_documents(tmp_path / name) == expected
    assert read_documents(tmp_path) == [*expected[:0], *(expected * 4)]


def test_what_is_wrong_with_documents_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file or folder of documents"):
        read_documents(tmp_path / "none")
    with pytest.raises(CorpusError, match="no documents in it"):
        read_documents(tmp_path)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"a.csv, row 2: needs a column called text, body, .*; there are a, b"):
        read_documents(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("text,title\n1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"a.csv, line 2: has 1 comma-separated columns, wanted 2"):
        read_documents(tmp_path / "a.csv")
    (tmp_path / "a.jsonl").write_text("nothing\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"a.jsonl, line 1: not JSON"):
        read_documents(tmp_path / "a.jsonl")
    (tmp_path / "a.txt").write_bytes(b"\xff\n")
    with pytest.raises(CorpusError, match=r"a.txt, line 1: byte 0xff is not UTF-8"):
        read_documents(tmp_path / "a.txt")
    pytest.importorskip("pyarrow", reason="needs the parquet extra")
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(CorpusError, match=r"a.parquet: not a parquet file"):
        read_documents(tmp_path / "a.parquet")


def test_the_name_and_the_score(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "pets.jsonl", [{"title": f"Pet number {i}", "text": f"{BODY}{i}"} for i in range(9)])
    assert read_search(file).name == "pets"
    score = evaluate_search(Drawn(), file)
    assert (score.queries, score.documents, score.kind) == (9, 9, "title")
    assert all(0 <= getattr(score, measure).value <= 100 for measure in MEASURES)
    assert score.recall_at_10.value == 100
