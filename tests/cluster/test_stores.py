"""Shards in object stores: a server of S3 on this machine, fsspec's memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import fs, parquet

from mirrorkit import encode_shards
from mirrorkit.cluster.addresses import place_of
from mirrorkit.cluster.places import shown
from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError, MissingExtraError, OutputError
from mirrorkit.runtime.encoder import Encoder
from tests.cluster.s3 import SECRET, Store, serving
from tests.cluster.texts import ROWS, make_input, texts_of, vectors_of, write_parquet

if not hasattr(fs, "S3FileSystem"):
    pytest.skip("this pyarrow was built without S3", allow_module_level=True)


@pytest.fixture(scope="module")
def served() -> Iterator[Store]:
    with serving() as store:
        yield store


@pytest.fixture
def store(served: Store, tmp_path: Path) -> Store:
    """Return the store with the four files of `make_input` and a long parquet file in it."""
    served.fail_every = 0
    served.objects.clear()
    folder = make_input(tmp_path / "uploaded")
    write_parquet(folder / "long.parquet", [f"row {i}" for i in range(30)], group=10)
    source = place_of(served.uri("bucket/in"))
    for file in folder.rglob("*.*"):
        with source.publish(file.relative_to(folder).as_posix()) as out:
            out.write(file.read_bytes())
    return served


def check(store: Store, encoder: Encoder) -> None:
    out = place_of(store.uri("bucket/out"))
    for number in range(4):
        table = parquet.read_table(pa.BufferReader(out.read(f"{'sub/' * (number % 2)}part{number}.jsonl.parquet")))
        assert table["id"].to_pylist() == [str(1000 * number + i) for i in range(ROWS)]
        np.testing.assert_array_equal(vectors_of(table), encoder.encode(texts_of(number)))
    assert out.read("_SUCCESS") == b"190 rows in 7 shards\n"
    assert not store.uploads


def test_from_a_store_to_a_store(store: Store, bundle: Path, encoder: Encoder) -> None:
    source, out = store.uri("bucket/in"), store.uri("bucket/out")
    result = encode_shards(bundle, source, out, id_column="id", shard_rows=10, threads=1)
    assert (result.out, result.shards, result.rows, result.complete) == ("s3://bucket/out", 7, 190, True)
    check(store, encoder)
    before = store.objects.copy()
    assert encode_shards(bundle, source, out, id_column="id", shard_rows=10, resume=True).encoded == 0
    assert {name: store.objects[name][0] for name in store.names()} == {
        name: content for name, (content, _) in before.items() if not name.endswith("/")
    }
    assert SECRET not in str(store.objects)
    assert "testkey" not in str(store.objects)


@pytest.mark.slow  # each failure is followed by a pause
def test_a_store_that_fails_every_fifth_request_loses_nothing(store: Store, bundle: Path, encoder: Encoder) -> None:
    store.fail_every = 5
    source, out = store.uri("bucket/in"), store.uri("bucket/out")
    assert encode_shards(bundle, source, out, id_column="id", shard_rows=10, threads=1).complete
    store.fail_every = 0
    check(store, encoder)


@pytest.mark.slow
def test_a_store_that_fails_for_good_leaves_what_is_done(store: Store, bundle: Path, encoder: Encoder) -> None:
    class Broken:
        def phase(self, _: str) -> None:
            pass

        def advance(self, done: int, total: int | None, figures: str = "") -> None:
            if done == 2:
                store.fail_every = 1

    source, out = store.uri("bucket/in"), store.uri("bucket/out")
    with pytest.raises(MirrorkitError, match=r"s3://bucket/.* cannot be .*(InternalError|status 500)") as found:
        encode_shards(bundle, source, out, id_column="id", shard_rows=10, threads=1, progress=Broken())
    assert SECRET not in str(found.value)
    store.fail_every = 0
    assert encode_shards(bundle, source, out, id_column="id", shard_rows=10, status=True).done == 2
    assert encode_shards(bundle, source, out, id_column="id", shard_rows=10, threads=1, resume=True).complete
    check(store, encoder)


def test_patterns_several_inputs_and_a_folder_of_this_machine(store: Store, bundle: Path, tmp_path: Path) -> None:
    result = encode_shards(bundle, store.uri("bucket/in/**/part*.jsonl"), tmp_path / "a")
    assert (result.shards, result.rows) == (4, 160)
    files = [store.uri("bucket/in/part0.jsonl"), store.uri("bucket/in/long.parquet")]
    assert encode_shards(bundle, files, tmp_path / "b").rows == 70
    assert sorted(file.name for file in (tmp_path / "b").glob("*.parquet")) == ["long.parquet", "part0.jsonl.parquet"]
    records = (tmp_path / "b" / "_manifest.json").read_text()
    assert "testkey" not in records
    with pytest.raises(ConfigError, match="must all lie in one bucket"):
        encode_shards(bundle, [files[0], str(tmp_path / "x.txt")], tmp_path / "c")


def test_what_cannot_be_reached_is_said_without_the_key(store: Store, bundle: Path, tmp_path: Path) -> None:
    texts = make_input(tmp_path / "in")
    wrong = store.uri("bucket/out", key="nobody", secret="an/other secret")
    for address, error, what in (
        (wrong, CorpusError, "s3://bucket/out.* cannot be read .*ACCESS"),
        (
            "s3://akey:asecret@bucket/o?endpoint_override=127.0.0.1:9&scheme=http",
            CorpusError,
            "cannot be read .*connect",
        ),
        ("s3://akey:asecret@bucket/o?secret=x", ConfigError, "there is no option 'secret', only region"),
        (store.uri("nosuch/o"), CorpusError, "s3://nosuch/o: there is no bucket 'nosuch'"),
        ("s3:///o", ConfigError, "names no bucket"),
        ("nosuch://akey:asecret@bucket/o", ConfigError, "Protocol not known"),
    ):
        with pytest.raises(error, match=what) as found:
            encode_shards(bundle, texts, address)
        said = f"{found.value!r} {found.value.__cause__!r}"
        assert not any(word in said for word in ("asecret", "akey", "an/other", "an%2Fother", "nobody"))
    with pytest.raises(MirrorkitError, match=r"s3://bucket/none: .*no files to encode|no such file"):
        encode_shards(bundle, store.uri("bucket/none"), tmp_path / "out")
    with pytest.raises(ConfigError, match="lies inside s3://bucket/in"):
        encode_shards(bundle, store.uri("bucket/in"), store.uri("bucket/in/out"))
    assert not (tmp_path / "out").exists()


def test_stores_of_fsspec(bundle: Path, tmp_path: Path, encoder: Encoder) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec")
    memory = fsspec.filesystem("memory")
    memory.put(str(make_input(tmp_path / "in")), "/texts", recursive=True)
    result = encode_shards(bundle, "memory://texts", "memory://vectors", id_column="id", threads=1)
    assert (result.rows, result.complete) == (160, True)
    with memory.open("/vectors/part0.jsonl.parquet") as file:
        np.testing.assert_array_equal(vectors_of(parquet.read_table(file)), encoder.encode(texts_of(0)))
    assert encode_shards(bundle, "memory://texts", "memory://vectors", id_column="id", resume=True).encoded == 0
    manifest = json.loads(memory.cat("/vectors/_manifest.json"))
    assert manifest["rows"] == 160


def test_a_store_whose_library_is_missing_is_said(bundle: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "adlfs", None)
    with pytest.raises((MissingExtraError, OutputError), match="az://container/x: az:// needs another package"):
        encode_shards(bundle, texts, "az://container/x")


def test_addresses_are_shown_without_keys() -> None:
    assert shown("s3://key:se%2Fcret@bucket/a/b?region=x&endpoint_override=y") == "s3://bucket/a/b"
    assert shown("s3://bucket") == "s3://bucket"
    assert shown("a@b/c?d") == "a@b/c?d"
