from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.assets.paths import CALIBRATION
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.exporter.quantize.activations import MAX_TOKENS, sample_of
from mirrorkit.exporter.quantize.calibration import MAX_CHARACTERS, calibration_texts, even_sample, stirred
from mirrorkit.text.ragged import RaggedIds


def write(file: Path, lines: list[str]) -> str:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def test_the_shipped_sample_is_varied() -> None:
    found = calibration_texts(None)
    words = [len(text.split()) for text in found.texts]
    assert len(found.texts) == len(set(found.texts)) >= 256
    assert min(words) == 1
    assert max(words) >= 40
    assert len(set(words)) > 25
    assert (found.name, found.sha256) == (CALIBRATION.name, hashlib.sha256(CALIBRATION.read_bytes()).hexdigest())


def test_a_file_is_read_hashed_and_cleaned(tmp_path: Path) -> None:
    file = write(tmp_path / "own.txt", ["  one  ", "", "two", "one", "x" * (MAX_CHARACTERS + 1)])
    found = calibration_texts(file)
    assert found.texts == ["one", "two", "x" * MAX_CHARACTERS]
    assert found.name == "own.txt"
    assert found.sha256 == hashlib.sha256(Path(file).read_bytes()).hexdigest()


def test_a_column_can_be_chosen(tmp_path: Path) -> None:
    file = write(tmp_path / "own.tsv", ["score\tleft", "1\ta b", "2\tc d"])
    assert calibration_texts(file, "left").texts == ["a b", "c d"]
    with pytest.raises(ConfigError, match="right"):
        calibration_texts(file, "right")


@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 16, 17, 1000])
def test_the_sample_is_even_and_from_the_whole_file(tmp_path: Path, count: int) -> None:
    file = write(tmp_path / "own.txt", [f"text {n}" for n in range(count)])
    found = [int(text.split()[1]) for text in calibration_texts(file, limit=8).texts]
    assert len(found) == min(8, count)
    assert found == sorted(set(found))
    steps = np.diff([*found, count])
    assert found[0] == 0
    assert steps.max() <= 2 * max(1, -(-count // 8)) + 1


def test_a_long_stream_is_sampled_to_its_end() -> None:
    found = [int(text) for text in even_sample((str(n) for n in range(100_000)), 10)]
    assert len(found) == 10
    assert np.diff([*found, 100_000]).max() <= 20_000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no text"),
        (b"\n \n", "no text"),
        (b"\xff\xfea\x00\n", "utf-16"),
        (b"a\0b\n", "binary"),
        (b"caf\xe9\n", "UTF-8"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "own.txt"
    file.write_bytes(content)
    with pytest.raises(CorpusError, match=says):
        calibration_texts(str(file))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="absent"):
        calibration_texts(str(tmp_path / "absent.txt"))
    with pytest.raises(CorpusError, match="folder"):
        calibration_texts(str(tmp_path))


def test_stirring_keeps_the_texts_and_the_special_tokens() -> None:
    rows = [[1, *range(10, 40), 2], [1, 2], [1, 10, 2], [1, 11, 12, 2]]
    found = stirred(RaggedIds.from_blocks([rows]), range(100, 200))
    assert [found[i].tolist() for i in range(4)] == rows
    assert len(found) == 6
    copies = [found[4], found[5]]
    assert all((copy[0], copy[-1]) == (1, 2) for copy in copies)
    assert [len(copy) for copy in copies] == [32, 3]
    changed = copies[0] != np.array(rows[0])
    assert 1 <= changed.sum() <= 15
    assert set(copies[0][changed]) <= set(range(100, 200))


def test_texts_of_one_token_are_all_run_and_the_others_evenly() -> None:
    long, short = [[1, *range(10, 210), 2]] * 300, [[1, number, 2] for number in range(100)]
    found = sample_of(RaggedIds.from_blocks([[*long, *short]]))
    assert set(range(300, 400)) <= set(found.tolist())
    assert len(found) - 100 == (MAX_TOKENS - 300) // 202
    assert sample_of(RaggedIds.from_blocks([short])).tolist() == list(range(100))
    assert len(sample_of(RaggedIds.from_blocks([[[1] * (MAX_TOKENS + 1)]]))) == 1
