"""The domains: what is read out of files of each kind, and that nothing held out has a like in training."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.domains import descriptions, docstrings, kernel, manuals, ontology, wordnet
from benchmarks.domains.duplicates import groups, normalised
from benchmarks.domains.entries import Entry
from benchmarks.domains.split import part, write
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.beir import read_retrieval
from mirrorkit.evaluation.documents import read_documents

LONG = "It goes on for a while, since a body must be long enough to be worth a search. " * 3


def test_docstrings_of_modules_classes_and_functions(tmp_path: Path) -> None:
    package = tmp_path / "zoo"
    (package / "tests").mkdir(parents=True)
    (package / "cats.py").write_text(
        f'"""Everything about cats.\n\n{LONG}\n"""\nimport nothing_of_the_kind\n'
        f'class Cat:\n    """A cat that\n    has a summary of two lines.\n\n    {LONG}\n    """\n'
        f'    def purr(self):\n        """Purr as long as it is stroked.\n\n        {LONG}"""\n'
        f'def short():\n    """Too short for a search.\n\n    Yes."""\n'
        f'def alone():\n    """{LONG}"""\n',
        encoding="utf-8",
    )
    (package / "tests" / "test_cats.py").write_text(f'"""A module of tests.\n\n{LONG}"""\n', encoding="utf-8")
    (package / "broken.py").write_text("def (", encoding="utf-8")
    found = list(docstrings.entries(tmp_path))
    assert [(entry.source, entry.title) for entry in found] == [
        ("zoo.cats:0", "Everything about cats."),
        ("zoo.cats.Cat:6", "A cat that has a summary of two lines."),
        ("zoo.cats.Cat.purr:12", "Purr as long as it is stroked."),
    ]
    assert {entry.label for entry in found} == {"zoo"}
    assert found[0].text == LONG.strip()


MAN = rf"""'\" t
.\" a comment
.TH TAR 1 "July 13, 2020"
.SH "NAME"
tar \- an archiving \fButility\fR
.SH SYNOPSIS
\fBtar\fR [\fIOPTION\fR...]
.SH DESCRIPTION
.PP
.B Tar
saves many files\&. See
.BR cp (1)
and \(lqthe manual\(rq\&.
.TP
.I "this one"
.nf
$ tar cf archive.tar
.fi
{LONG}
.SH OPTIONS
none
"""
MDOC = rf""".Dd May 1
.Sh NAME
.Nm cal
.Nd displays a calendar for the year
.Sh DESCRIPTION
The
.Nm cal
utility displays a calendar with
.Fl m
option.
{LONG}
"""


def test_manual_pages_of_both_macro_sets(tmp_path: Path) -> None:
    for section, name, page in (("1", "tar.1.gz", MAN), ("1", "cal.1", MDOC), ("5", "empty.5", ".TH EMPTY 5\n")):
        (tmp_path / f"man{section}").mkdir(exist_ok=True)
        raw = page.encode()
        (tmp_path / f"man{section}" / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    (tmp_path / "man5" / "link.5").symlink_to(tmp_path / "man1" / "cal.1")
    cal, tar = manuals.entries(tmp_path)
    assert (tar.source, tar.title, tar.label) == ("man1/tar.1.gz", "an archiving utility", "1")
    assert tar.text == f'Tar saves many files. See cp(1) and "the manual". this one {LONG.strip()}'
    assert cal.title == "displays a calendar for the year"
    assert cal.text.startswith("The cal utility displays a calendar with m option.")


def test_one_tool_does_not_fill_the_manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manuals, "FAMILY", 2)
    (tmp_path / "man1").mkdir()
    for name in ("git-add", "git-commit", "git-log", "tar"):
        (tmp_path / "man1" / f"{name}.1").write_text(MAN, encoding="utf-8")
    assert len(list(manuals.entries(tmp_path))) == 3


def test_glosses(tmp_path: Path) -> None:
    lines = {
        "noun": "  1 This software is free\n"
        "00003553 03 n 02 whole 0 living_unit 0 001 @ 00002684 n 0000 | an assemblage of parts regarded as one; "
        '"how big is it"  \n00000001 05 n 01 cat 0 000 | a pet  \n',
        "verb": "00004000 38 v 01 go_on 0 000 01 + 01 00 | move forward in time or in space; also in speech  \n",
        "adj": "00005000 00 a 01 galore(ip) 0 000 | existing in a great abundance of all things  \n",
        "adv": "",
    }
    for name, text in lines.items():
        (tmp_path / f"data.{name}").write_text(text, encoding="utf-8")
    found = [(entry.title, entry.text, entry.label) for entry in wordnet.entries(tmp_path)]
    assert found == [
        ("whole, living unit", "an assemblage of parts regarded as one", "noun.Tops"),
        ("go on", "move forward in time or in space; also in speech", "verb.motion"),
        ("galore", "existing in a great abundance of all things", "adj.all"),
    ]
    assert wordnet.examples(tmp_path) == ["how big is it"]
    assert wordnet.licence(tmp_path) == "This software is free\n"
    (tmp_path / "data.adv").unlink()
    with pytest.raises(ConfigError, match=r"no data.adv in it"):
        list(wordnet.entries(tmp_path))


RST = f"""=========================
Writing drivers for lamps
=========================

:Author: Somebody

.. contents::
   :local:

A driver *registers* itself with :c:func:`lamp_register()`, see :ref:`the guide <guide>`, and
``lamp_unregister`` when it is done, as here::

    static int dropped;

{LONG}

2.1 Power and light
-------------------
.. note::

   This is dropped too.

It is bright. {LONG}

Overview
--------
A heading of one word. {LONG}

Too short
~~~~~~~~~
Yes.
"""


def test_sections_of_the_kernel_s_documentation(tmp_path: Path) -> None:
    part, other = tmp_path / "driver-api", tmp_path / "translations" / "it"
    for folder in (part, other):
        folder.mkdir(parents=True)
        (folder / "lamps.rst.gz").write_bytes(gzip.compress(RST.encode()))
    (part / "more.rst").write_text(
        f"Shared heading\n---\n\nOnce.\n\nShared heading\n==============\n{LONG}\n\n", "utf-8"
    )
    first, second, third = kernel.entries(tmp_path)
    assert (first.source, first.title) == ("driver-api/lamps.rst.gz:2", "Writing drivers for lamps")
    assert first.text == (
        "A driver registers itself with lamp_register(), see the guide, and lamp_unregister when it is done, as here: "
        + LONG.strip()
    )
    assert (second.title, second.text) == ("Power and light", f"It is bright. {LONG.strip()}")
    assert third.title == "Shared heading"
    assert {entry.label for entry in (first, second, third)} == {"driver-api"}
    again = (part / "more.rst").read_text(encoding="utf-8")
    (part / "again.rst").write_text(again, encoding="utf-8")
    assert [entry.title for entry in kernel.entries(tmp_path)] == [first.title, second.title]
    with pytest.raises(ConfigError, match=r"no section of a \.rst file in it"):
        list(kernel.entries(other / "none"))


def test_terms_of_the_ontology(tmp_path: Path) -> None:
    file = tmp_path / "GO.sqlite"
    rows = [
        ("GO:2", "light of a lamp", "BP", LONG),
        ("GO:1", "lamp  that is\nbright", "CC", LONG),
        ("GO:3", "all of them, a root", "universal", LONG),
        ("GO:4", "short definition", "MF", "Yes."),
        ("GO:5", "no definition at all", "MF", None),
    ]
    with closing(sqlite3.connect(file)) as base, base:
        base.execute("CREATE TABLE go_term (go_id, term, ontology, definition)")
        base.executemany("INSERT INTO go_term VALUES (?, ?, ?, ?)", rows)
    found = [(entry.source, entry.title, entry.text, entry.label) for entry in ontology.entries(file)]
    assert found == [
        ("GO:1", "lamp that is bright", LONG.strip(), "cellular component"),
        ("GO:2", "light of a lamp", LONG.strip(), "biological process"),
    ]
    with pytest.raises(ConfigError, match=r"cannot be read as GO\.db's database"):
        list(ontology.entries(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def words(count: int, rng: random.Random) -> list[str]:
    return [f"w{rng.randrange(5000)}" for _ in range(count)]


def test_near_duplicates_are_found_and_nothing_else() -> None:
    rng = random.Random(0)
    texts: list[str] = []
    expected: list[int] = []
    for _ in range(150):
        original = words(rng.randrange(20, 80), rng)
        changed = list(original)
        changed[rng.randrange(len(changed))] = "another"
        first = len(texts)
        texts += [" ".join(original), ", ".join(original).upper() + ".", " ".join(changed)]
        texts += [" ".join(words(40, rng))]
        expected += [first, first, first, first + 3]
    found = groups(texts)
    assert found == expected
    assert groups(["one two", "One, two!", "one three"]) == [0, 0, 2]


def entries(count: int) -> list[Entry]:
    rng = random.Random(1)
    made = []
    for number in range(count):
        body = words(50, rng)
        copies = 1 + (number % 10 == 0) + 20 * (number == 5)
        for copy in range(copies):
            body[copy] = f"copy{copy}"
            made.append(Entry(f"{number}.{copy}", f"title {number}", " ".join(body), f"label {number % 3}"))
    return [*made, Entry("again", "title again", made[0].text.upper(), "label 0")]


def test_a_side_never_sees_a_like_of_another(tmp_path: Path) -> None:
    sides = part(entries(400), most=10_000, seed=3)
    parted = {name: getattr(sides, name) for name in ("train", "dev", "test")}
    kept = [entry for side in parted.values() for entry in side]
    assert sides.about["repeats dropped"] == 1
    assert sides.about["kept"] == len(kept) == 460
    assert (len(sides.test), len(sides.dev)) == (115, 46)
    assert sides.about["groups of near-duplicates"] == 41
    homes: dict[str, set[str]] = {}
    for name, side in parted.items():
        for entry in side:
            homes.setdefault(entry.source.partition(".")[0], set()).add(name)
    assert all(len(names) == 1 for names in homes.values())
    assert homes["5"] == {"train"}  # too many to be held out
    assert part(entries(400), most=10_000, seed=3) == sides
    assert part(entries(400), most=10_000, seed=4) != sides
    home = tmp_path / "pets"
    write(sides, home)
    train = read_documents(home / "train.jsonl")
    for side in ("dev", "test"):
        data = read_retrieval(home / f"pets-{side}")
        assert data.name == f"pets-{side}"
        assert list(data.documents.values()) == [entry.text for entry in parted[side]]
        assert set(data.queries.values()) == {entry.title for entry in parted[side]}
        right = [data.documents[one] for one in data.relevant["q0"]]
        assert right == [entry.text for entry in parted[side] if entry.title == data.queries["q0"]]
        assert not {normalised(text) for text in data.documents.values()} & {normalised(d.text) for d in train}
        labels = (home / f"pets-{side}.tsv").read_text(encoding="utf-8").splitlines()
        assert len(labels) == len(parted[side]) + 1


def lists(home: Path, language: str, translations: str, packages: str) -> Path:
    home.mkdir()
    (home / f"mirror_main_i18n_Translation-{language}").write_text(translations, encoding="utf-8")
    (home / "mirror_main_binary-amd64_Packages").write_text(packages, encoding="utf-8")
    return home


@pytest.mark.skipif(not Path("/usr/lib/apt/apt-helper").is_file(), reason="needs apt, which reads its own lists")
def test_descriptions(tmp_path: Path) -> None:
    long = " " + " ".join(["Viele Wörter über Bäume."] * 12)
    home = lists(
        tmp_path / "lists",
        "de",
        f"Package: oak\nDescription-de: Bäume, die alt sind\n{long}\n .\n  * Eichen\n\n"
        f"Package: oak-doc\nDescription-de: Bäume, noch einmal\n{long}\n\n"
        f"Package: ash\nDescription-de: Eine kurze Beschreibung\n Zu kurz.\n\n"
        f"Package: gone\nDescription-de: Nicht mehr im Archiv\n{long}\n",
        "Package: oak\nSection: science\nVersion: 1\n\nPackage: oak-doc\nSource: oak (2)\nSection: doc\n\n"
        "Package: ash\nSection: science\n",
    )
    (entry,) = descriptions.entries("de", home)
    assert (entry.source, entry.title, entry.label) == ("oak", "Bäume, die alt sind", "science")
    assert entry.text == f"{long.strip()} Eichen"
    with pytest.raises(ConfigError, match="no Translation-en and Packages"):
        list(descriptions.entries("en", home))


def test_the_command(tmp_path: Path) -> None:
    code = f'"""A module.\n\n{LONG}"""\n' + "".join(
        f'def f{i}():\n    """Return the number {i} of all.\n\n    {" ".join(words(60, random.Random(i)))}"""\n'
        for i in range(40)
    )
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "numbers.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.domains", "--out", str(tmp_path / "out"), "--most", "30"]
    command += ["--only", "docstrings", "--docstrings", str(tmp_path / "packages")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "kept 30" in done.stdout
    about = json.loads((tmp_path / "out" / "docstrings" / "about.json").read_text(encoding="utf-8"))
    assert (about["kept"], about["test"], about["dev"]) == (30, 8, 3)
    assert len(read_retrieval(tmp_path / "out" / "docstrings" / "docstrings-test").documents) == 8
    done = subprocess.run(
        [*command, "--docstrings", str(tmp_path / "out")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "docstrings: not made, 0 documents are too few to hold any out\n")
