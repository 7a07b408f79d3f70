"""A folder of texts becomes a folder of vectors: every row once, each shard whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from mirrorkit import check_vectors, encode_shards
from mirrorkit.cluster import job as shard_job
from mirrorkit.cluster.addresses import place_of
from mirrorkit.cluster.plan import plan_shards
from mirrorkit.errors import BundleError, CorpusError, MirrorkitError, OutputError
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.vectors_record import read_record
from mirrorkit.publish.owner import this_process
from mirrorkit.runtime.encoder import Encoder
from tests.bundles import make_foreign
from tests.cluster.texts import ROWS, check_shards, make_input, texts_of, vectors_of, write_parquet
from tests.progress import Told


def test_every_row_is_there_once_in_order_with_the_bits_of_the_encoder(
    bundle: Path, texts: Path, tmp_path: Path, encoder: Encoder
) -> None:
    out = tmp_path / "out"
    told = Told()
    result = encode_shards(bundle, texts, out, id_column="id", threads=1, progress=told)
    assert (result.shards, result.done, result.rows, result.encoded, result.complete) == (4, 4, 160, 160, True)
    assert told.seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    check_shards(out, 4, encoder)
    assert (out / "_SUCCESS").read_text() == "160 rows in 4 shards\n"
    manifest = json.loads((out / "_manifest.json").read_text())
    assert [shard["rows"] for shard in manifest["shards"]] == [ROWS] * 4
    for shard in manifest["shards"]:
        assert shard["sha256"] == sha256_of(out / shard["shard"]["name"])
        assert shard["shard"]["size"] == (texts / shard["shard"]["source"]).stat().st_size
    assert manifest["made_by"]["fingerprint"] == encoder.fingerprint
    assert dataset.dataset(out).count_rows() == 160  # readers of data sets pass over the records


def test_blocks_of_a_shard_are_those_of_encode_iter(
    bundle: Path, texts: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_job, "CHUNK", 7)
    encode_shards(bundle, texts, tmp_path / "out", id_column="id", threads=1)
    check_shards(tmp_path / "out", 4, encoder, chunk=7)


def test_the_record_in_a_shard_tells_what_made_it(bundle: Path, texts: Path, tmp_path: Path, encoder: Encoder) -> None:
    encode_shards(bundle, texts, tmp_path / "out", truncate_dim=4)
    file = tmp_path / "out" / "part0.jsonl.parquet"
    assert read_record(file).fingerprint == encoder.fingerprint
    assert read_record(file).truncate_dim == 4
    assert check_vectors(bundle, file).ok


@pytest.mark.parametrize(
    ("output_type", "arrow"), [("float32", pa.float32()), ("float16", pa.float16()), ("binary", pa.int8())]
)
def test_types_of_vectors(
    output_type: str, arrow: Any, bundle: Path, texts: Path, tmp_path: Path, encoder: Encoder
) -> None:
    encode_shards(bundle, texts, tmp_path / "out", output_type=output_type, threads=1)
    table = parquet.read_table(tmp_path / "out" / "part0.jsonl.parquet")
    expected = encoder.encode(texts_of(0), output_type=output_type)
    assert table.schema.field("embedding").type == pa.list_(arrow, expected.shape[1])
    np.testing.assert_array_equal(vectors_of(table), expected)


def test_long_parquet_files_are_cut_at_their_row_groups(bundle: Path, tmp_path: Path, encoder: Encoder) -> None:
    rows = [f"row {i}" + " again" * (i % 5) for i in range(100)]
    (tmp_path / "in").mkdir()
    write_parquet(tmp_path / "in" / "long.parquet", rows, group=10)
    result = encode_shards(bundle, tmp_path / "in", tmp_path / "out", id_column="id", keep=["text"], shard_rows=35)
    assert result.shards == 4
    names = sorted(file.name for file in (tmp_path / "out").glob("*.parquet"))
    assert names == [
        "long.rg00000-00002.parquet",
        "long.rg00003-00005.parquet",
        "long.rg00006-00008.parquet",
        "long.rg00009-00009.parquet",
    ]
    tables = [parquet.read_table(tmp_path / "out" / name) for name in names]
    assert pa.concat_tables(tables)["text"].to_pylist() == rows
    assert tables[0].schema.field("id").type == pa.int32()  # as it is in the input
    for table, first in zip(tables, (0, 30, 60, 90), strict=True):
        np.testing.assert_array_equal(vectors_of(table), encoder.encode(rows[first : first + 30]))
    assert encode_shards(bundle, tmp_path / "in", tmp_path / "whole", shard_rows=0).shards == 1


def test_files_of_every_kind_patterns_and_several_inputs(bundle: Path, tmp_path: Path, encoder: Encoder) -> None:
    home = tmp_path / "in"
    (home / "a").mkdir(parents=True)
    (home / "a" / "one.txt").write_text("first\n\nthird\n", encoding="utf-8")
    (home / "two.csv").write_text("id,text\n7,seventh text here\n8,the eighth one is it\n", encoding="utf-8")
    with pa.CompressedOutputStream(str(home / "three.jsonl.zst"), "zstd") as stream:
        stream.write(b'{"id": 1.50, "text": "packed"}\n')
    (home / "notes.pdf").write_bytes(b"%PDF-")
    result = encode_shards(bundle, [home / "a", home / "t*"], tmp_path / "out", keep=["text"])
    assert (result.shards, result.rows) == (3, 6)
    assert sorted(str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("[!_]*.parquet")) == [
        "a/one.txt.parquet",
        "three.jsonl.zst.parquet",
        "two.csv.parquet",
    ]
    table = parquet.read_table(tmp_path / "out" / "a" / "one.txt.parquet")
    assert table["text"].to_pylist() == ["first", "", "third"]
    np.testing.assert_array_equal(vectors_of(table), encoder.encode(["first", "", "third"]))


def test_a_second_run_does_nothing(bundle: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    encode_shards(bundle, texts, out)
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*")}
    monkeypatch.setattr(shard_job, "_written", None)
    assert encode_shards(bundle, texts, out, resume=True).encoded == 0
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*")} == before
    with pytest.raises(OutputError, match=r"4 shards are done already; give `resume=True` .* or `overwrite=True`"):
        encode_shards(bundle, texts, out)


def test_only_what_changed_or_is_damaged_is_encoded_again(
    bundle: Path, texts: Path, tmp_path: Path, encoder: Encoder
) -> None:
    out = tmp_path / "out"
    encode_shards(bundle, texts, out, id_column="id", threads=1)
    (texts / "part0.jsonl").write_text('{"id": 1, "text": "new"}\n', encoding="utf-8")
    (out / "sub" / "part1.jsonl.parquet").unlink()
    status = encode_shards(bundle, texts, out, id_column="id", threads=1, status=True)
    assert (status.done, status.missing, status.stale, status.finished) == (2, 1, 1, False)
    with pytest.raises(OutputError, match="1 shards are missing and 1 stale, such as sub/part1"):
        encode_shards(bundle, texts, out, id_column="id", threads=1, finish=True)
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, resume=True).encoded == 1 + ROWS
    damaged = out / "part2.jsonl.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (out / "_SUCCESS").unlink()
    with pytest.raises(OutputError, match=r"part2.jsonl.parquet: is not what was written, by its sha256; `resume"):
        encode_shards(bundle, texts, out, id_column="id", threads=1, finish=True)
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, resume=True).encoded == ROWS
    (out / "_shards" / "part2.jsonl.parquet.json").write_text("{", encoding="utf-8")
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, resume=True).complete
    make_input(texts)
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, resume=True).complete
    check_shards(out, 4, encoder)


def test_parts_do_all_of_it_and_finish_says_so(bundle: Path, texts: Path, tmp_path: Path, encoder: Encoder) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"id_column": "id", "threads": 1}
    first = encode_shards(bundle, texts, out, part="1/3", **options)
    assert (first.shards, first.done, first.finished) == (2, 2, False)
    with pytest.raises(OutputError, match="2 shards are missing and 0 stale"):
        encode_shards(bundle, texts, out, finish=True, **options)
    assert not (out / "_SUCCESS").exists()
    for part in ("2/3", "3/3"):
        encode_shards(bundle, texts, out, part=part, **options)
    assert encode_shards(bundle, texts, out, finish=True, **options).complete
    check_shards(out, 4, encoder)


def test_vectors_of_two_kinds_are_never_mixed(bundle: Path, texts: Path, tmp_path: Path, tiny: Path) -> None:
    out = tmp_path / "out"
    encode_shards(bundle, texts, out)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    other = make_foreign(tmp_path / "other", tiny / "tokenizer.json", max_position_embeddings=32)
    for given, what in (
        ((other, {}), "fingerprint"),
        ((bundle, {"prompt": "a: "}), "prompt"),
        ((bundle, {"output_type": "float16"}), "output_type"),
        ((bundle, {"keep": ["id"]}), "keep"),
    ):
        for how in ({"resume": True}, {}, {"finish": True}, {"part": "1/2"}):
            with pytest.raises(OutputError, match=rf"out: its shards have {what}.*must not be mixed.*`overwrite=True`"):
                encode_shards(given[0], texts, out, **given[1], **how)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    assert encode_shards(other, texts, out, overwrite=True).encoded == 160
    with pytest.raises(OutputError, match="fingerprint"):
        encode_shards(bundle, texts, out, resume=True)


def test_another_bundle_on_a_node_is_refused(bundle: Path, texts: Path, tmp_path: Path) -> None:

    plan = plan_shards([str(texts)], place_of(tmp_path / "out"), 0)
    task = shard_job.Task(shard_job.Job(str(bundle)), str(texts), str(tmp_path / "out"), plan.shards[0], "0" * 64)
    with pytest.raises(BundleError, match="is another bundle on this machine"):
        shard_job.encode_shard(task)
    assert not (tmp_path / "out").exists()


def test_vectors_of_an_input_that_is_gone_are_not_passed_off(bundle: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode_shards(bundle, texts, out)
    (texts / "part0.jsonl").unlink()
    with pytest.raises(OutputError, match=r"1 files are of no input that is there, such as part0.jsonl.parquet"):
        encode_shards(bundle, texts, out, resume=True)
    assert encode_shards(bundle, texts, out, resume=True, overwrite=True).complete
    assert not (out / "part0.jsonl.parquet").exists()
    assert not (out / "_shards" / "part0.jsonl.parquet.json").exists()


def test_an_input_that_changes_meanwhile_is_not_encoded_half(bundle: Path, texts: Path, tmp_path: Path) -> None:
    def change(done: int, _: int | None) -> None:
        if done == 1:
            with (texts / "part2.jsonl").open("a", encoding="utf-8") as file:
                file.write('{"id": 1, "text": "late"}\n')

    with pytest.raises(CorpusError, match=r"part2.jsonl: has changed since this job began"):
        encode_shards(bundle, texts, tmp_path / "out", progress=Told(change))
    assert encode_shards(bundle, texts, tmp_path / "out", resume=True).rows == 161


def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every text of more than 60 tokens come out as NaN."""
    from mirrorkit.runtime.session import OnnxSession

    run = OnnxSession.batch

    def batch(self: Any, ids: Any, mask: Any) -> Any:
        vectors = np.array(run(self, ids, mask))
        vectors[mask.sum(axis=1) > 60] = np.nan
        return vectors

    monkeypatch.setattr(OnnxSession, "batch", batch)


def test_a_poisoned_row_stops_or_is_left_out_and_named(
    bundle: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in (texts / "part0.jsonl").read_text().splitlines()]
    rows[5]["text"] = "poison " * 80
    lines = [json.dumps(row) for row in rows]
    lines.insert(9, '{"id": 3, "text": 17}')
    lines.insert(20, "{no json")
    (texts / "part0.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    poisoned(monkeypatch)
    out = tmp_path / "out"
    with pytest.raises(CorpusError, match=r"part0.jsonl, line 21: not JSON"):
        encode_shards(bundle, texts, out, id_column="id")
    assert not out.exists()
    result = encode_shards(bundle, texts, out, id_column="id", on_error="skip")
    assert (result.rows, result.skipped, result.complete) == (159, 3, True)
    told = " ".join(result.faults)
    assert "line 10: text is int" in told
    assert "line 21: not JSON" in told
    assert "row 6, id 5: its vector holds NaN" in told
    kept = parquet.read_table(out / "part0.jsonl.parquet")
    assert kept["id"].to_pylist() == [str(row["id"]) for row in rows if row is not rows[5]]
    assert json.loads((out / "_manifest.json").read_text())["skipped"] == 3


def test_a_file_that_cannot_be_read_stops_or_is_named(bundle: Path, texts: Path, tmp_path: Path) -> None:
    (texts / "bad.parquet").write_bytes(b"PAR1 and no more")
    (texts / "broken.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00 no more")
    out = tmp_path / "out"
    with pytest.raises(CorpusError, match=r"bad.parquet: cannot be read"):
        encode_shards(bundle, texts, out)
    assert not out.exists()
    result = encode_shards(bundle, texts, out, on_error="skip")
    assert (result.done, result.failed, result.finished, result.complete) == (4, 2, True, False)
    manifest = json.loads((out / "_manifest.json").read_text())
    assert {shard["shard"]["source"] for shard in manifest["shards"] if shard["error"]} == {
        "bad.parquet",
        "broken.jsonl.gz",
    }
    assert not (out / "_SUCCESS").exists()
    assert dataset.dataset(out).count_rows() == 160
    for name in ("bad.parquet", "broken.jsonl.gz"):
        (texts / name).unlink()
    assert encode_shards(bundle, texts, out, resume=True, overwrite=True).complete
    assert (out / "_SUCCESS").exists()


def test_a_full_disk_loses_nothing(
    bundle: Path, texts: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open
    files = 0

    def full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        nonlocal files
        if mode == "x+b":
            files += 1
            if files == 4:  # the second shard
                return opened(Path("/dev/full"), "wb", 0)
        return opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    out = tmp_path / "out"
    with pytest.raises(OutputError, match=r"part2.jsonl.parquet: cannot be written \(.*[Nn]o space left"):
        encode_shards(bundle, texts, out, id_column="id", threads=1)
    assert sorted(file.name for file in out.rglob("*.parquet")) == ["part0.jsonl.parquet"]
    files = 3
    with pytest.raises(OutputError, match="1 of 3 shards could not be written, `resume=True` tries them again"):
        encode_shards(bundle, texts, out, id_column="id", threads=1, on_error="skip", resume=True)
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, resume=True).encoded == ROWS
    check_shards(out, 4, encoder)


def test_litter_of_the_dead_is_removed_and_that_of_others_kept(bundle: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode_shards(bundle, texts, out, part="1/2")
    (out / "_tmp").mkdir()
    dead = out / "_tmp" / f"a-4194305-1-{this_process().host}.partial"
    other = out / "_tmp" / "b-4194305-1-another.partial"
    for file in (dead, other):
        file.write_bytes(b"half")
    encode_shards(bundle, texts, out, part="2/2")
    assert not dead.exists()
    assert other.exists()
    os.utime(other, (0, 0))
    encode_shards(bundle, texts, out, finish=True)
    assert not (out / "_tmp").exists()


def test_a_worker_that_another_one_was_faster_than(
    bundle: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was writing may be gone when it is done: the shard is, too."""
    out = tmp_path / "out"
    write = shard_job._written

    def overtaken(task: Any, *given: Any) -> Any:
        record = write(task, *given)
        monkeypatch.setattr(shard_job, "_written", write)
        shard_job.encode_shard(task)
        raise OutputError(f"{record.shard.name}: cannot be written (No such file or directory)")

    monkeypatch.setattr(shard_job, "_written", overtaken)
    assert encode_shards(bundle, texts, out).complete


def test_nothing_is_written_outside_of_the_folder(bundle: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode_shards(bundle, texts / "part0.jsonl", out, id_column="id")
    (tmp_path / "elsewhere").mkdir()
    (out / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MirrorkitError, match=r"leads out of .* by a link|is a link that leads out"):
        encode_shards(bundle, texts, out, id_column="id", resume=True)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_inputs_may_be_elsewhere_the_next_time(bundle: Path, texts: Path, tmp_path: Path) -> None:
    """Identity is the name below the input and what the file is, not where a machine has mounted it."""
    encode_shards(bundle, texts, tmp_path / "out")
    shutil.move(texts, tmp_path / "mounted")
    assert encode_shards(bundle, tmp_path / "mounted", tmp_path / "out", resume=True).encoded == 0
