"""What an encoder does with texts of more tokens than its model takes: cut, windows, error; and that it tells."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
pytest.importorskip("torch", reason="needs the train extra, to make what is run")
from typer.testing import CliRunner

from mirrorkit.cli.app import app
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.files.encode_file import encode_file
from mirrorkit.verification.against import Verdict, check_vectors
from tests.bundles import bundle_of

SHORT = ["The museum opens at nine.", "", "A ferry to the island."]
LONG = " ".join(
    f"The {word} of the old library stays open on Sundays." for word in ("door", "hall", "roof", "cat") * 60
)
TEXTS = [SHORT[0], LONG, *SHORT[1:], LONG + " And so on."]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tiny, ("fp32",), tmp_path_factory)


def test_windows_are_the_mean_of_what_each_of_them_gives(bundle: Path) -> None:
    encoder = Encoder(bundle, long="windows")
    vectors = encoder.encode(TEXTS)
    found = encoder._encoding.opened.tokenizer.windows([LONG])
    runner = encoder._encoding.runner
    each = np.concatenate(
        [
            runner.batch(row[None].astype(np.int64), np.ones((1, len(row)), np.int64))
            for row in (found.ids[i] for i in range(len(found.ids)))
        ]
    )
    mean = (each * found.weights[:, None]).sum(axis=0)
    lengths = np.linalg.norm(each, axis=1) @ found.weights / found.weights.sum()
    np.testing.assert_allclose(vectors[1], mean / np.linalg.norm(mean) * lengths, atol=1e-5)
    np.testing.assert_allclose(encoder.encode([LONG])[0], vectors[1], atol=1e-6)
    plain = Encoder(bundle).encode(TEXTS)
    np.testing.assert_allclose(vectors[[0, 2, 3]], plain[[0, 2, 3]], atol=1e-6)
    assert np.abs(vectors[1] - plain[1]).max() > 1e-3


@pytest.mark.parametrize("long", ["cut", "windows"])
def test_long_texts_are_counted_and_told(bundle: Path, long: str, caplog: pytest.LogCaptureFixture) -> None:
    encoder = Encoder(bundle, long=long)
    assert encoder.long_texts == 0
    with caplog.at_level(logging.INFO, "mirrorkit.runtime.encoding"):
        encoder.encode(TEXTS)
        encoder.encode([LONG])
        encoder.encode(SHORT)
    assert encoder.long_texts == 3
    how = "cut" if long == "cut" else "read in windows"
    assert [r.message for r in caplog.records] == [
        f"2 of 5 texts have more than {encoder.max_length} tokens: {how}",
        f"1 of 1 texts have more than {encoder.max_length} tokens: {how}",
    ]


def test_error_names_the_text(bundle: Path) -> None:
    encoder = Encoder(bundle, long="error")
    np.testing.assert_array_equal(encoder.encode(SHORT), Encoder(bundle).encode(SHORT))
    with pytest.raises(CorpusError, match=r"texts\[1\] is longer than the \d+ tokens that the model takes"):
        encoder.encode(TEXTS)
    with pytest.raises(CorpusError, match=r"texts\[0\] is longer"):
        encoder.encode([LONG])
    with pytest.raises(CorpusError, match=r"texts\[4\] is longer"):
        list(encoder.encode_iter([*SHORT, SHORT[0], LONG], chunk=2))


def test_other_words_are_refused(bundle: Path) -> None:
    with pytest.raises(ConfigError, match=r"long 'mean': must be one of cut, windows, error"):
        Encoder(bundle, long="mean")


def test_it_is_kept_when_pickled_and_decides_the_fingerprint(bundle: Path) -> None:
    encoder = Encoder(bundle, long="windows")
    again = pickle.loads(pickle.dumps(encoder))  # our own
    assert again.long == "windows"
    assert again.fingerprint == encoder.fingerprint != Encoder(bundle).fingerprint
    assert Encoder(bundle, long="error").fingerprint == Encoder(bundle).fingerprint


@pytest.mark.parametrize("long", ["cut", "windows"])
def test_a_file_says_how_many_and_records_how(bundle: Path, tmp_path: Path, long: str) -> None:
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    out = tmp_path / "v.npy"
    result = encode_file(bundle, str(tmp_path / "texts.jsonl"), out, long=long)
    assert (result.long, result.long_texts) == (long, 2)
    said = "2 cut at" if long == "cut" else "2 read in windows of"
    assert f"{said} {result.max_length} tokens" in result.line()
    record = json.loads((tmp_path / "v.npy.mirrorkit.json").read_text(encoding="utf-8"))
    assert record["long"] == long
    assert check_vectors(bundle, out).verdict is Verdict.SAME
    np.testing.assert_allclose(np.load(out), Encoder(bundle, long=long).encode(TEXTS), atol=1e-6)


def test_the_command_line(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text(f"{SHORT[0]}\n{LONG}\n", encoding="utf-8")
    command = ["encode", str(bundle), str(tmp_path / "texts.txt"), "-o", str(tmp_path / "v.npy")]
    done = CliRunner().invoke(app, [*command, "--long", "error"])
    assert done.exit_code == 2
    assert "texts[1] is longer than" in done.stderr
    assert "--long cut or --long windows" in done.stderr
    assert not (tmp_path / "v.npy").exists()
    done = CliRunner().invoke(app, [*command, "--long", "none"])
    assert done.exit_code == 2
    assert "must be one of cut, windows, error" in done.stderr
    done = CliRunner().invoke(app, [*command, "--long", "windows"])
    assert done.exit_code == 0
    assert "1 read in windows of" in done.stdout + done.stderr
