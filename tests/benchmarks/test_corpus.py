"""Hold the shipped documents to their README, and the command that makes them to what it says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from benchmarks import corpus, sentences
from mirrorkit.assets.documents import plain_sentences
from mirrorkit.assets.paths import DOCUMENTS, HELD_OUT, SENTENCES
from mirrorkit.training.duplicates import same_documents

DOCSTRING = """Return *all* the ``items`` that :func:`keep` lets through.

They come in the order in which they were given, and none of them is looked at twice. What is
not let through is dropped without a word, unless `strict` says that it must not be.

::

    keep(3)

Parameters
----------
strict : bool, optional
    Whether to raise an error for an item that is not let through, instead of dropping it.

Examples
--------
>>> keep(3)
This is what the example prints.

References
----------
.. [1] Nobody reads these.
"""


def read(file: Path) -> list[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_the_shipped_documents_are_as_described() -> None:
    train, held_out = read(DOCUMENTS), read(HELD_OUT)
    assert (len(train), len(held_out)) == (2500, 500)
    assert DOCUMENTS.stat().st_size + HELD_OUT.stat().st_size <= 1_500_000
    for document in train + held_out:
        assert list(document) == ["id", "title", "text", "source"]
        assert corpus.SHORTEST <= len(document["text"]) <= corpus.LONGEST, document["id"]
    readme = (DOCUMENTS.parent / "README.md").read_text(encoding="utf-8")
    notice = (DOCUMENTS.parent / "NOTICE.txt").read_text(encoding="utf-8")
    for source in {document["source"] for document in train + held_out}:
        counts = [sum(document["source"] == source for document in some) for some in (train, held_out)]
        row = next(line for line in readme.splitlines() if line.startswith(f"| {source} |"))
        assert row.endswith(f"| {counts[0]} | {counts[1]} |"), source
        assert source in notice


def test_nothing_like_a_held_out_document_is_trained_on() -> None:
    documents = read(HELD_OUT) + read(DOCUMENTS)
    for field in ("id", "title", "text"):
        assert len({document[field].lower() for document in documents}) == len(documents)
    first = same_documents([document["text"] for document in documents])
    assert first.tolist() == list(range(len(documents)))


def test_a_docstring_is_cut_to_its_prose() -> None:
    document = corpus.as_document("a.b", DOCSTRING, "a 1.0")
    assert document is not None
    assert document.title == "Return all the items that keep lets through."
    assert document.text.startswith("They come in the order in which they were given, and none of them")
    assert document.text.endswith(
        "strict: Whether to raise an error for an item that is not let through, instead of dropping it."
    )
    assert corpus.as_document("a.b", "Return it.\n\nToo short.", "a 1.0") is None


def test_documents_come_from_what_is_public_in_a_fixed_order(tmp_path: Path) -> None:
    body = "\n".join(f"    {line}".rstrip() for line in DOCSTRING.splitlines())
    for name in ("b", "a", "tests/c"):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"def seen():\n    '''{body.strip()}\n    '''\ndef _hidden():\n    '''{body.strip()}'''\n")
    (tmp_path / "broken.py").write_text("def (:\n")
    found = list(corpus.documented(tmp_path, "p 1.0", "p"))
    assert [document.id for document in found] == ["p.a.seen", "p.b.seen"]
    train, held_out = corpus.chosen(found)
    assert [document.id for document in train + held_out] == ["p.a.seen"]  # the other says the same
    corpus.write(tmp_path / "one.jsonl.gz", found)
    corpus.write(tmp_path / "two.jsonl.gz", found)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["corpus", "--site", str(tmp_path), "--out", str(tmp_path / "out")])
    monkeypatch.setattr(corpus, "documented", lambda *given: iter(()))
    with pytest.raises(SystemExit, match="holds 0 releases of matplotlib"):
        corpus.main()


def test_the_sentences_that_ship_are_as_their_readme_says() -> None:
    shipped = plain_sentences()
    assert len(set(shipped)) == len(shipped) == 2500
    assert all(5 <= len(sentence.split()) <= 40 for sentence in shipped)
    assert "WordNet 3.0 Copyright" in SENTENCES.with_name("LICENSE.txt").read_text(encoding="utf-8")


def test_sentences_are_drawn_by_hash_and_kept_in_order(tmp_path: Path) -> None:
    gloss = "; ".join(f'"this is example number {i}"' for i in range(30))
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text(f'  1 Free.\n00000001 03 n 01 a 0 000 | {gloss}; "too short"\n')
    assert sentences.main(["--wordnet", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    written = gzip.decompress((tmp_path / "out" / "sentences.txt.gz").read_bytes()).decode()
    assert written.splitlines() == [f"this is example number {i}" for i in range(30)]
    found = [f"sentence number {i} of a few" for i in range(3000)]
    drawn = sentences.chosen(found)
    assert len(drawn) == sentences.SENTENCES
    assert drawn == [one for one in found if one in set(drawn)]
