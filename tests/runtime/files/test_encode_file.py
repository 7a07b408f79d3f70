"""A file of texts becomes a file of vectors, whole or not at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
pytest.importorskip("pyarrow", reason="needs the parquet extra")
import pyarrow as pa
from pyarrow import parquet

from mirrorkit.errors import ConfigError, CorpusError, OutputError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.files import encode_file as job
from mirrorkit.runtime.files.encode_file import encode_file
from tests.bundles import make_foreign
from tests.progress import Told

TEXTS = ["The museum opens at nine.", "", "ÇA COÛTE 3,50 €", "  ", 'a "quoted", word', "last\u2028one"]
MANY = [f"sentence number {i}" for i in range(50)]
EXACT: dict[str, Any] = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_foreign(tmp_path_factory.mktemp("foreign"), tiny / "tokenizer.json")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder(folder, threads=1)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    file = tmp_path / "many.txt"
    file.write_text("\n".join(MANY) + "\n", encoding="utf-8")
    return file


def written(out: str) -> set[str]:
    """Return the files of a result: any but parquet has the record of what made it beside it."""
    return {out} if out.endswith(".parquet") else {out, f"{out}.mirrorkit.json"}


def as_txt(file: Path) -> None:
    file.write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")


def as_gz(file: Path) -> None:
    file.write_bytes(gzip.compress("".join(text + "\n" for text in TEXTS).encode()))


def as_csv(file: Path) -> None:
    rows = "".join('{},"{}"\n'.format(i, text.replace('"', '""')) for i, text in enumerate(TEXTS))
    file.write_text("id,text\n" + rows, encoding="utf-8")


def as_tsv(file: Path) -> None:
    file.write_text("id\ttext\n" + "".join(f"{i}\t{text}\n" for i, text in enumerate(TEXTS)), encoding="utf-8")


def as_jsonl(file: Path) -> None:
    file.write_text("".join(json.dumps({"id": 1, "text": text}) + "\n" for text in TEXTS), encoding="utf-8")


def as_parquet(file: Path) -> None:
    parquet.write_table(pa.table({"id": range(len(TEXTS)), "text": [text or None for text in TEXTS]}), file)


def read_jsonl(file: Path) -> tuple[list[str], Any]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    return [row["text"] for row in rows], np.array([row["embedding"] for row in rows], dtype=np.float32)


def read_parquet(file: Path) -> tuple[list[str], Any]:
    rows = parquet.read_table(file)
    return rows["text"].to_pylist(), np.array(rows["embedding"].to_pylist(), dtype=np.float32)


READ: dict[str, Callable[[Path], tuple[list[str] | None, Any]]] = {
    ".npy": lambda file: (None, np.load(file)),
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}


@pytest.mark.parametrize("write", [as_txt, as_gz, as_csv, as_tsv, as_jsonl, as_parquet])
@pytest.mark.parametrize("out", READ)
def test_row_i_of_the_output_is_row_i_of_the_input(
    write: Callable[[Path], None], out: str, tmp_path: Path, folder: Path, encoder: Encoder
) -> None:
    file = tmp_path / ("in." + write.__name__.removeprefix("as_").replace("gz", "txt.gz"))
    write(file)
    result = encode_file(folder, str(file), tmp_path / "new" / f"out{out}", threads=1)
    assert (result.texts, result.resumed, result.dim, result.variant) == (len(TEXTS), 0, 8, "fp32")
    texts, vectors = READ[out](tmp_path / "new" / f"out{out}")
    assert texts in (None, TEXTS)
    np.testing.assert_allclose(vectors, encoder.encode(TEXTS), **EXACT)
    assert {file.name for file in (tmp_path / "new").iterdir()} == written(f"out{out}")


@pytest.mark.parametrize("out", READ)
def test_numbers_come_back_exactly_and_in_many_blocks(
    out: str, many: Path, tmp_path: Path, folder: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "CHUNK", 7)
    encode_file(folder, str(many), tmp_path / f"out{out}", threads=1)
    _, vectors = READ[out](tmp_path / f"out{out}")
    np.testing.assert_array_equal(vectors, np.concatenate(list(encoder.encode_iter(MANY, chunk=7))))


def test_progress_tells_about_how_much_there_is(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "CHUNK", 1000)
    (tmp_path / "in.txt").write_text("a row of text\n" * 5500, encoding="utf-8")
    told = Told()
    encode_file(folder, str(tmp_path / "in.txt"), tmp_path / "out.npy", progress=told)
    assert [done for done, _ in told.seen] == [1000, 2000, 3000, 4000, 5000, 5500]
    assert all(total and 0.5 < total / 5500 < 1.5 for _, total in told.seen)
    assert told.seen[-1] == (5500, 5500)


@pytest.mark.parametrize("out", READ)
def test_no_rows_at_all(out: str, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert encode_file(folder, str(tmp_path / "empty.txt"), tmp_path / f"out{out}").texts == 0
    texts, vectors = READ[out](tmp_path / f"out{out}")
    assert texts in (None, [])
    assert len(vectors) == 0
    if out == ".npy":
        assert vectors.shape == (0, 8)
    if out == ".parquet":
        assert parquet.read_schema(tmp_path / "out.parquet").field("embedding").type == pa.list_(pa.float32(), 8)


@pytest.mark.parametrize("out", [".jsonl", ".parquet"])
def test_a_lone_surrogate_does_not_stop_the_job(out: str, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "half \\ud83d é"}\n', encoding="utf-8")
    encode_file(folder, str(tmp_path / "in.jsonl"), tmp_path / f"out{out}")
    (text,) = READ[out](tmp_path / f"out{out}")[0] or []
    assert text == "half {} é".format(chr(0xD83D) if out == ".jsonl" else "\N{REPLACEMENT CHARACTER}")


def test_an_existing_file_is_kept(many: Path, tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out.npy"
    out.write_text("precious", encoding="utf-8")
    with pytest.raises(OutputError, match=r"out.npy: exists; give another file or `overwrite=True`"):
        encode_file(folder, str(many), out)
    with pytest.raises(CorpusError, match="cannot be read"):
        encode_file(folder, str(tmp_path / "absent.txt"), out, overwrite=True)
    assert out.read_text(encoding="utf-8") == "precious"
    encode_file(folder, str(many), out, overwrite=True)
    assert np.load(out).shape == (50, 8)
    assert {file.name for file in tmp_path.iterdir()} == {"many.txt", *written("out.npy")}


def test_places_that_cannot_be_written(many: Path, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"out.txt: must end in .npy, .jsonl, .parquet"):
        encode_file(folder, str(many), tmp_path / "out.txt")
    with pytest.raises(ConfigError, match=r"only a .parquet file can be resumed"):
        encode_file(folder, str(many), tmp_path / "out.npy", resume=True)
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(OutputError, match="is a folder, a link or a device"):
        encode_file(folder, str(many), tmp_path / "folder.npy", overwrite=True)
    with pytest.raises(OutputError, match="cannot be written"):
        encode_file(folder, str(many), many / "out.npy")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('"a"\n', encoding="utf-8")
    with pytest.raises(OutputError, match="is the input itself"):
        encode_file(folder, str(rows), rows, overwrite=True)
    assert rows.read_text(encoding="utf-8") == '"a"\n'


@pytest.mark.parametrize("out", READ)
def test_a_bad_row_leaves_nothing_behind(out: str, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": 3}\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"in.jsonl, line 2: text is int, not a string"):
        encode_file(folder, str(tmp_path / "in.jsonl"), tmp_path / f"out{out}")
    assert [file.name for file in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("out", READ)
def test_a_full_disk_is_one_clear_error(
    out: str, many: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return opened(Path("/dev/full"), "wb", 0) if mode in ("w+b", "x+b") else opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match=r"cannot be written \(.*[Nn]o space left"):
        encode_file(folder, str(many), tmp_path / f"out{out}")
    assert [file.name for file in tmp_path.iterdir()] == ["many.txt"]


@pytest.mark.parametrize(("output_type", "few"), [("float32", False), ("float16", False), ("binary", True)])
def test_only_columns_of_few_values_have_a_dictionary(
    output_type: str, few: bool, tmp_path: Path, folder: Path, many: Path
) -> None:
    """One of the numbers of a vector makes a file larger."""
    out = tmp_path / "out.parquet"
    encode_file(folder, str(many), out, threads=1, output_type=output_type)
    about = parquet.ParquetFile(out).metadata.row_group(0)
    found = {about.column(i).path_in_schema: about.column(i) for i in range(about.num_columns)}
    assert set(found) == {"text", "embedding.list.element"}
    assert "RLE_DICTIONARY" in found["text"].encodings
    vectors = found["embedding.list.element"]
    assert ("RLE_DICTIONARY" in vectors.encodings) == few
    if output_type == "float32":
        assert vectors.total_uncompressed_size < 1.1 * 4 * vectors.num_values + 100
