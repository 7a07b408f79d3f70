"""Bad input to a job of shards, as a user types it: one line, exit code 2, nothing written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from typer.testing import CliRunner, Result

from mirrorkit import encode_shards
from mirrorkit.cli.app import app
from mirrorkit.errors import ConfigError, CorpusError, OutputError
from tests.cluster.texts import write_jsonl


def command(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--part", "0/4"], "--part '0/4': must be a number and how many there are, from 1/16 to 16/16 for sixteen"),
        (["--part", "5/4"], "--part '5/4': must be"),
        (["--part", "a"], "--part 'a': must be"),
        (["--part", "1/2", "--status"], "--part is of a run that encodes; --status and --finish are of all shards"),
        (["--status", "--finish"], "--status and --finish exclude each other"),
        (["--on-error", "ignore"], "--on-error 'ignore': must be stop or skip"),
        (["--shard-rows", "-1"], "--shard-rows -1: must be at least 1, or 0 for a shard a file"),
        (["--on", "spark"], "--on 'spark': must be ray"),
        (["--id-column", "nosuch"], "no column 'nosuch', there are: id, text, lang"),
        (["--keep", "nosuch"], "no column 'nosuch'"),
        (["--keep", "id,id"], "--keep 'id,id': must name each column once"),
        (["--keep", "embedding"], "--keep 'embedding': must name each column once, and none 'embedding'"),
        (["--text-column", "nosuch"], "no column 'nosuch'"),
        (["--output-type", "int4"], "--output-type 'int4': must be one of"),
        (["--output-type", "int8"], "has no ranges to cut vectors into bytes by"),
        (["--variant", "nosuch"], "nosuch"),
        (["--expect", "00000000"], "has the fingerprint"),
        (["--truncate-dim", "0"], "--truncate-dim 0: must be at least 1"),
        (["--prompt-name", "nosuch"], "nosuch"),
        (["--delimiter", "no"], "delimiter"),
        (["--finish"], "4 shards are missing and 0 stale"),
    ],
)
def test_bad_options(options: list[str], said: str, bundle: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = command("encode", bundle, texts, "-o", out, *options)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert not out.exists()


def test_no_inputs_at_all(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"inputs \[\]: must name a file, a folder or a pattern"):
        encode_shards(bundle, [], tmp_path / "out")


def test_bad_places(bundle: Path, texts: Path, tmp_path: Path) -> None:
    def refused(said: str, *args: Any) -> None:
        result = command("encode", bundle, *args)
        assert result.exit_code == 2, result.output
        assert len(result.stderr.splitlines()) == 1
        assert said in result.stderr

    before = sorted(tmp_path.rglob("*"))
    refused("no file has a name like this", tmp_path / "no*.txt", "-o", tmp_path / "out")
    refused("no such file or folder", tmp_path / "none", "-o", f"{tmp_path}/out/")
    refused("no such file or folder", texts, tmp_path / "none", "-o", tmp_path / "out")
    refused("lies inside", texts, "-o", texts / "out")
    refused("lies inside", texts, "-o", texts / "sub" / "out")
    refused("lies inside", texts, "-o", f"{texts}/")
    refused("lies inside", texts / "**" / "*.jsonl", "-o", texts / "out")
    refused("lies inside it", texts / "sub", "-o", f"{texts}/")
    refused("shards go to a folder", texts, "-o", tmp_path / "out.parquet")
    refused("File name too long", "x" * 300, "-o", f"{tmp_path}/out/")
    refused("File name too long", texts, "-o", f"{tmp_path}/{'x' * 300}/")
    refused("embedded null byte", "a\0b", "-o", f"{tmp_path}/out/")
    refused("is not a file", "/dev/zero", "-o", f"{tmp_path}/out/")
    refused("cannot be", texts, "-o", "/dev/null/x/")
    refused("names no bucket", texts, "-o", "s3://")
    refused("holds config.json", texts, "-o", bundle)
    refused("standard input cannot be divided", "-", "-o", f"{tmp_path}/out/")
    (tmp_path / "file").touch()
    refused("is a file or a link", texts, "-o", tmp_path / "file")
    (tmp_path / "file").unlink()
    assert sorted(tmp_path.rglob("*")) == before


class Ray:
    """A Ray that cannot be used."""

    __name__ = "ray"

    @staticmethod
    def is_initialized() -> bool:
        return False

    @staticmethod
    def init(**_: object) -> None:
        raise RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.9\nThis process with:\n    Ray: 3"
        )


def test_clusters_that_cannot_be_used(
    bundle: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", cast(ModuleType, Ray()))
    for address, said in (
        ("ray", "--on 'ray=auto': cannot be used (Version mismatch: The cluster was started with: Ray: 2.9 T"),
        ("ray=local", "--on 'ray=local': cannot be used (Version mismatch"),
        ("ray=127.0.0.1:9", "--on 'ray=127.0.0.1:9': nothing can be reached there"),
        ("ray=127.0.0.1:99999", "nothing can be reached there"),
        ("ray=nowhere", "--on 'ray=nowhere': must be ray=HOST:PORT"),
    ):
        result = command("encode", bundle, texts, "-o", tmp_path / "out", "--on", address)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert said in result.stderr
    monkeypatch.setitem(sys.modules, "ray", cast(ModuleType, None))
    assert "pip install 'mirrorkit[ray]'" in command("encode", bundle, texts, "-o", "x", "--on", "ray").stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_others_is_left_alone(bundle: Path, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("precious", encoding="utf-8")
    hows: tuple[dict[str, Any], ...] = ({}, {"overwrite": True}, {"resume": True})
    for how in hows:
        with pytest.raises(OutputError, match=r"holds letter.txt, which is not of this job"):
            encode_shards(bundle, texts, tmp_path / "home", **how)
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["letter.txt"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    with pytest.raises(OutputError, match="is a file or a link"):
        encode_shards(bundle, texts, tmp_path / "link")


def test_records_that_are_not_ours(bundle: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode_shards(bundle, texts, out)
    made_by = out / "_made_by.json"
    whole = made_by.read_text(encoding="utf-8")
    for spoilt in (
        "",
        "{",
        "[]",
        '{"kind": "mirrorkit-shards", "schema_version": 2}',
        whole.replace('"dim": 8', '"dim": "8"'),
    ):
        made_by.write_text(spoilt, encoding="utf-8")
        with pytest.raises(CorpusError, match=r"_made_by.json: is not a readable record \("):
            encode_shards(bundle, texts, out, resume=True)
    made_by.unlink()
    os.mkfifo(made_by)
    with pytest.raises(CorpusError, match=r"_made_by.json: cannot be read"):
        encode_shards(bundle, texts, out, resume=True)


def test_inputs_that_are_no_files(bundle: Path, texts: Path, tmp_path: Path) -> None:
    os.mkfifo(texts / "pipe.jsonl")
    with pytest.raises(CorpusError, match=r"pipe.jsonl: cannot be read"):
        encode_shards(bundle, texts, tmp_path / "out")
    (texts / "pipe.jsonl").unlink()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret\n", encoding="utf-8")
    (texts / "link.txt").symlink_to(secret)
    with pytest.raises(CorpusError, match=r"link.txt: is a link that leads out of"):
        encode_shards(bundle, texts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_cannot_be_told_apart_or_would_be_hidden(bundle: Path, texts: Path, tmp_path: Path) -> None:
    write_jsonl(texts / "PART0.jsonl", 0)
    with pytest.raises(ConfigError, match=r"PART0.jsonl and part0.jsonl: would both become part0.jsonl.parquet"):
        encode_shards(bundle, texts, tmp_path / "out")
    write_jsonl(tmp_path / "_x.jsonl", 0)
    with pytest.raises(ConfigError, match="are hidden from readers"):
        encode_shards(bundle, [tmp_path / "_x.jsonl"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_file_to_one_file_stays_what_it_was(bundle: Path, texts: Path, tmp_path: Path) -> None:
    one = texts / "part0.jsonl"
    assert command("encode", bundle, one, "-o", tmp_path / "a.parquet").stdout.startswith("wrote ")
    assert command("encode", bundle, one, "-o", tmp_path / "a.txt").exit_code == 2
    result = command("encode", bundle, one, "-o", f"{tmp_path}/folder/")
    assert "1 of 1 shards done" in result.stdout
    assert (tmp_path / "folder" / "part0.jsonl.parquet").exists()
