"""What cannot be loaded, as a user types it: one line, exit code 2, nothing written."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from mirrorkit import encode_shards, load_shards
from mirrorkit.cli.app import app
from mirrorkit.cluster.sinks.postgres import Postgres
from mirrorkit.cluster.sinks.qdrant import _point
from mirrorkit.errors import OutputError
from tests.cluster.texts import ROWS, write_parquet

faiss = pytest.importorskip("faiss", reason="needs the search extra")


@pytest.fixture
def shards(bundle: Path, texts: Path, tmp_path: Path) -> Path:
    encode_shards(bundle, texts, tmp_path / "out", id_column="id", threads=1)
    return tmp_path / "out"


def refused(said: str, shards: Path, to: str, *options: str) -> None:
    result = CliRunner().invoke(app, ["load", str(shards), "--to", to, *options])
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert "S3cret" not in result.output


def test_what_the_command_says(shards: Path, tmp_path: Path) -> None:
    to = f"faiss:{tmp_path}/t.faiss"
    first = CliRunner().invoke(app, ["load", str(shards), "--to", to])
    assert first.stdout.splitlines()[0] == f"{to}: 160 rows of 4 shards, 160 of them now"
    written = (tmp_path / "t.faiss").stat().st_mtime_ns
    second = CliRunner().invoke(app, ["load", str(shards), "--to", to, "--json"])
    about = json.loads(second.stdout)
    assert (about["rows"], about["loaded"], about["dim"]) == (160, 0, 8)
    assert (tmp_path / "t.faiss").stat().st_mtime_ns == written


def test_an_index_finds_what_numpy_finds(shards: Path, tmp_path: Path) -> None:
    load_shards(shards, f"faiss:{tmp_path}/t.faiss")
    index = faiss.read_index(str(tmp_path / "t.faiss"))
    tables = [parquet.read_table(file) for file in sorted(shards.rglob("*.parquet"))]
    vectors = np.concatenate([np.array(table["embedding"].to_pylist(), np.float32) for table in tables])
    scores, _ = index.search(vectors[::9], 5)
    best = np.sort(vectors[::9] @ vectors.T, axis=1)[:, ::-1][:, :5]
    np.testing.assert_allclose(scores, best, rtol=0, atol=1e-6)


def test_ids_of_rows_without_an_id_column(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_parquet(tmp_path / "in" / "a.parquet", ["one", "two", "two"], group=2)
    encode_shards(bundle, tmp_path / "in", tmp_path / "out")
    load_shards(tmp_path / "out", f"faiss:{tmp_path}/t.faiss")
    rows = parquet.read_table(tmp_path / "t.faiss.rows.parquet")
    name = next((tmp_path / "out").glob("*.parquet")).name
    assert rows["id"].to_pylist() == [f"{name}#0", f"{name}#1", f"{name}#2"]


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("nosuch:x", "--to 'nosuch:…': must be lancedb://PATH/TABLE, faiss:FILE"),
        ("mysql://me:S3cret@host/db#t", "--to 'mysql:…': must be"),
        ("nothing", "--to 'nothing': must be"),
        ("", "--to '': must be"),
        ("faiss:", "--to 'faiss:…': must be"),
        ("faiss:x/", "must be faiss:FILE"),
        ("faiss:/dev/null", "is a folder, a link or a device"),
        ("faiss:a\0b", "embedded null byte"),
        (f"faiss:{'x' * 300}", "File name too long"),
    ],
)
def test_bad_addresses(to: str, said: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    refused(said, shards, to)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("module", "to", "extra"),
    [
        ("faiss", "faiss:x", "search"),
        ("lancedb", "lancedb://x/t", "lancedb"),
        ("qdrant_client", "qdrant:x#t", "qdrant"),
        ("psycopg", "postgresql://me:S3cret@host/db#t", "pgvector"),
    ],
)
def test_stores_without_their_library(
    module: str, to: str, extra: str, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    refused(f"pip install 'mirrorkit[{extra}]'", shards, to)


def _unfinished(out: Path) -> None:
    (out / "_SUCCESS").unlink()


def _damaged(out: Path) -> None:
    file = out / "part2.jsonl.parquet"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)


def _shortened(out: Path) -> None:
    (out / "part0.jsonl.parquet").write_bytes(b"")


def _leads_out(out: Path) -> None:
    shutil.copyfile(out / "part0.jsonl.parquet", out.parent / "part0.jsonl.parquet")
    manifest = (out / "_manifest.json").read_text(encoding="utf-8")
    changed = manifest.replace('"name": "part0.jsonl.parquet"', '"name": "../part0.jsonl.parquet"')
    (out / "_manifest.json").write_text(changed, encoding="utf-8")


def _leads_out_by_a_link(out: Path) -> None:
    (out / "part0.jsonl.parquet").rename(out.parent / "elsewhere.parquet")
    (out / "part0.jsonl.parquet").symlink_to(out.parent / "elsewhere.parquet")


def _other_counts(out: Path) -> None:
    manifest = json.loads((out / "_manifest.json").read_text(encoding="utf-8"))
    (out / "_manifest.json").write_text(json.dumps(manifest | {"rows": 7}), encoding="utf-8")


def _of_another_encoder(out: Path) -> None:
    manifest = json.loads((out / "_manifest.json").read_text(encoding="utf-8"))
    manifest["made_by"]["fingerprint"] = "0" * 64
    (out / "_manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_unfinished, "is no finished folder of shards, as _SUCCESS is not there"),
        (_damaged, "part2.jsonl.parquet: is not what was written, by its sha256; encode it anew"),
        (_shortened, "part0.jsonl.parquet"),
        (_leads_out, "names '../part0.jsonl.parquet', which is not in the folder"),
        (_leads_out_by_a_link, "names 'part0.jsonl.parquet', which is not in the folder"),
        (_other_counts, "its counts do not fit"),
        (_of_another_encoder, "is not a finished shard of it"),
        (shutil.rmtree, "is no finished folder of shards, as _manifest.json is not there"),
    ],
)
def test_folders_that_cannot_be_loaded(spoil: Callable[[Path], None], said: str, shards: Path, tmp_path: Path) -> None:
    spoil(shards)
    refused(said, shards, f"faiss:{tmp_path}/t.faiss")
    assert not list(tmp_path.glob("*t.faiss*"))


def test_columns_whose_names_are_needed(bundle: Path, texts: Path, tmp_path: Path) -> None:
    encode_shards(bundle, texts, tmp_path / "out", keep="id", threads=1)
    refused("has a column 'id', a name that is needed", tmp_path / "out", f"faiss:{tmp_path}/t")


def test_shards_of_different_types(bundle: Path, texts: Path, tmp_path: Path) -> None:
    write_parquet(texts / "whole.parquet", ["numbers as ids"], group=1)
    encode_shards(bundle, texts, tmp_path / "out", id_column="id", threads=1)
    refused("its columns have other types than those of other shards", tmp_path / "out", f"faiss:{tmp_path}/t")


def test_files_of_others_are_never_replaced(shards: Path, tmp_path: Path) -> None:
    index = tmp_path / "t.faiss"
    index.write_text("precious", encoding="utf-8")
    refused("is there, and mirrorkit did not write it", shards, f"faiss:{index}", "--overwrite")
    assert index.read_text(encoding="utf-8") == "precious"
    index.unlink()
    rows = tmp_path / "t.faiss.rows.parquet"
    rows.write_text("precious", encoding="utf-8")
    refused("is there, and mirrorkit did not write it", shards, f"faiss:{index}", "--overwrite")
    assert rows.read_text(encoding="utf-8") == "precious"
    rows.unlink()
    load_shards(shards, f"faiss:{index}")
    index.write_bytes(index.read_bytes() + b"x")
    refused("is not the index that t.faiss.rows.parquet was written for", shards, f"faiss:{index}", "--overwrite")


def test_a_load_that_cannot_be_written_leaves_nothing(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(faiss, "write_index", full)
        with pytest.raises(OutputError, match=r"No space left on device"):
            load_shards(shards, f"faiss:{tmp_path}/t.faiss")
    assert not list(tmp_path.glob("*t.faiss*"))
    assert load_shards(shards, f"faiss:{tmp_path}/t.faiss").rows == 4 * ROWS


def test_ids_of_points() -> None:
    one = "6f1c7a52-3a0e-4d6b-9a55-000000000001"
    assert (_point(7), _point(one)) == (7, one)
    assert len({_point("7"), _point("8"), _point(-7), _point(1 << 64)}) == 4


def test_passwords_are_hidden_however_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psycopg", "pgvector", "pgvector.psycopg"):
        pytest.importorskip(name, reason="needs the pgvector extra")
    monkeypatch.setenv("PGPASSWORD", "S3cret-e")
    store = Postgres("postgresql://me:S3cret%2Fa@host/db?password=S3cret-b#t")
    assert store.shown == "postgresql://host/db#t"
    with pytest.raises(OutputError) as caught, store.told():
        raise RuntimeError("S3cret%2Fa and S3cret/a and S3cret-b and S3cret-e")
    assert str(caught.value) == "postgresql://host/db#t: cannot be loaded (*** and *** and *** and ***)"
