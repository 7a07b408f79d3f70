"""Shards into each store: every row once, with its id, text and vector; nothing twice; on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from mirrorkit import encode_shards, load_shards
from mirrorkit.errors import ConfigError, CorpusError, OutputError
from tests.cluster.load_stores import STORES, Rows, Store, check_rows
from tests.cluster.texts import ROWS, write_jsonl

# Dies in the middle of the third shard, having sent a part of it.
KILLED = """
import itertools, os, signal, sys
from mirrorkit import load_shards
from mirrorkit.cluster.finished import Finished
whole, number = Finished.batches, itertools.count(1)
def batches(self, record, rows):
    third = next(number) == 3
    for i, batch in enumerate(whole(self, record, 7)):
        if third and i == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
Finished.batches = batches
load_shards(*sys.argv[1:])
"""


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with STORES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Return texts without zero bytes, which no column of PostgreSQL takes."""
    for number in range(4):
        file = tmp_path / "texts" / f"part{number}.jsonl"
        write_jsonl(file, number)
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["text"] = row["text"].replace("\0", "")
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "texts"


@pytest.fixture
def shards(bundle: Path, texts: Path, tmp_path: Path) -> Path:
    encode_shards(bundle, texts, tmp_path / "out", id_column="id", keep="text", threads=1)
    return tmp_path / "out"


def rows_of(shards: Path) -> Rows:
    tables = [parquet.read_table(file).to_pylist() for file in sorted(shards.glob("*.parquet"))]
    return {row["id"]: (row["text"], np.array(row["embedding"])) for table in tables for row in table}


def test_every_row_is_loaded_once_and_what_is_missing_is_repaired(
    store: Store, shards: Path, bundle: Path, texts: Path
) -> None:
    first = load_shards(shards, store.to)
    assert (first.shards, first.rows, first.loaded) == (4, 4 * ROWS, 4 * ROWS)
    assert "S3cret" not in str(first)
    check_rows(store.read(), rows_of(shards))
    assert load_shards(shards, store.to).loaded == 0
    check_rows(store.read(), rows_of(shards))
    store.spoil()
    assert load_shards(shards, store.to).loaded in (ROWS, 4 * ROWS)  # the shard that misses some; faiss's file whole
    check_rows(store.read(), rows_of(shards))
    write_jsonl(texts / "part9.jsonl", 9)
    encode_shards(bundle, texts, shards, id_column="id", keep="text", threads=1, resume=True)
    assert load_shards(shards, store.to).rows == 5 * ROWS
    check_rows(store.read(), rows_of(shards))


def test_a_killed_load_goes_on(store: Store, shards: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(shards), store.to], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert load_shards(shards, store.to).loaded == (4 if store.to.startswith("faiss") else 2) * ROWS
    check_rows(store.read(), rows_of(shards))


def test_vectors_of_another_kind_are_refused_unless_overwritten(
    store: Store, shards: Path, bundle: Path, texts: Path, tmp_path: Path
) -> None:
    load_shards(shards, store.to)
    how: dict[str, Any] = {"id_column": "id", "keep": "text", "threads": 1}
    encode_shards(bundle, texts, tmp_path / "other", prompt="passage: ", **how)
    with pytest.raises(OutputError, match=r"its vectors have prompt '', not passage: ;.*`overwrite=True`"):
        load_shards(tmp_path / "other", store.to)
    check_rows(store.read(), rows_of(shards))
    assert load_shards(tmp_path / "other", store.to, overwrite=True).loaded == 4 * ROWS
    check_rows(store.read(), rows_of(tmp_path / "other"))
    (texts / "part0.jsonl").unlink()
    encode_shards(bundle, texts, tmp_path / "other", prompt="passage: ", resume=True, overwrite=True, **how)
    with pytest.raises(OutputError, match=r"rows of 1 shards that are not in the folder, .*, such as part0.jsonl.parq"):
        load_shards(tmp_path / "other", store.to)
    assert load_shards(tmp_path / "other", store.to, overwrite=True).rows == 3 * ROWS


def test_types_of_vectors_that_a_store_takes(store: Store, bundle: Path, texts: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"id_column": "id", "keep": "text", "threads": 1}
    encode_shards(bundle, texts, tmp_path / "bits", output_type="binary", **how)
    with pytest.raises(ConfigError, match=r"takes vectors of float32, float16.*, the shards have binary"):
        load_shards(tmp_path / "bits", store.to)
    encode_shards(bundle, texts, tmp_path / "half", output_type="float16", **how)
    assert load_shards(tmp_path / "half", store.to).loaded == 4 * ROWS
    check_rows(store.read(), rows_of(tmp_path / "half"), within=2e-3)
    if store.to.startswith(("faiss", "lancedb")):
        encode_shards(bundle, texts, tmp_path / "ubinary", output_type="ubinary", **how)
        assert load_shards(tmp_path / "ubinary", store.to, overwrite=True).loaded == 4 * ROWS


@pytest.mark.parametrize("store", ["qdrant", "postgres"], indirect=True)
def test_ids_that_occur_twice_are_not_lost_in_silence(store: Store, bundle: Path, texts: Path, tmp_path: Path) -> None:
    (texts / "part3.jsonl").write_text('{"id": "3", "text": "has the id of another"}\n', encoding="utf-8")
    encode_shards(bundle, texts, tmp_path / "out", id_column="id", keep="text", threads=1)
    with pytest.raises(OutputError, match=r"ids occur more than once|an id must occur once \(Key \(id\)=\(3\)"):
        load_shards(tmp_path / "out", store.to)


@pytest.mark.parametrize("store", ["lancedb", "qdrant", "postgres"], indirect=True)
def test_shards_that_are_refused_leave_nothing(store: Store, shards: Path, tmp_path: Path) -> None:
    (shards / "part0.jsonl.parquet").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CorpusError, match=r"part0.jsonl.parquet"):
        load_shards(shards, store.to)
    with pytest.raises(CorpusError):
        load_shards(shards, store.to, overwrite=True)
    left = [file for file in sorted(tmp_path.rglob("*")) if file not in before]
    assert not left
