"""`mirrorkit export --trim-vocab`: the bundle, what it records, and what is not published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from typer.testing import CliRunner

from mirrorkit import Encoder, SentenceEncoder
from mirrorkit.cli.app import app
from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.result import NothingPublishedError
from mirrorkit.exporter.trim.vocabulary import Trim
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.terminal.report import export_report

RUN = CliRunner()
CORPUS = ["The museum opens at nine on weekdays.", "A photograph of the old museum", "the 東京 museum, on a weekday"]
LOOSE = {"cosine_mean": -1.0, "graded_drop": 200.0}  # random weights have no meaning to lose


@pytest.fixture(scope="module")
def model(tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("bert", tiny_random, tmp_path_factory.mktemp("trim"))


def saved(kind: str, tiny_random: Callable[[str], Path], home: Path) -> Path:
    SentenceEncoder.load(tiny_random(kind), pooling="mean").save(home / "model")
    return home / "model"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(CORPUS) + "\n", encoding="utf-8")
    return file


@pytest.mark.slow
def test_the_bundle_is_of_the_trimmed_model(model: Path, corpus: Path, tmp_path: Path) -> None:
    result = export(model, tmp_path / "bundle", precision=["fp32"], optimize=False, trim=Trim(corpus, limits=LOOSE))
    assert result.ok
    assert result.about.trim is not None
    encoder = Encoder(result.bundle, "fp32", threads=1)
    np.testing.assert_allclose(encoder.encode(CORPUS), SentenceEncoder.load(model).encode(CORPUS), rtol=0, atol=1e-5)
    vocabulary = json.loads((result.bundle / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(result.about.trim.vocabulary_after))
    assert (result.bundle / "vocab.txt").read_text(encoding="utf-8").splitlines() == list(vocabulary)
    recorded = read_bundle(result.bundle).provenance["trim"]
    assert recorded == result.as_dict()["trim"]
    assert recorded["sha256"]
    assert recorded["overridden"] == ["cosine_mean", "graded_drop"]
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert f"to {result.about.trim.vocabulary_after:,} entries" in card
    assert "limits set by the user: cosine_mean -1, graded_drop 200" in card


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert"])
def test_bundles_of_other_tokenizers(
    kind: str, corpus: Path, tiny_random: Callable[[str], Path], tmp_path: Path
) -> None:
    model, thresholds = saved(kind, tiny_random, tmp_path), {"cosine_min": -1.0, "cosine_p1": -1.0, "max_abs": 2.0}
    more = tmp_path / "more.txt"
    more.write_text("Ça coûte 3,50 €\n", encoding="utf-8")
    trim = Trim([corpus, more], limits=LOOSE)
    result = export(model, tmp_path / "bundle", precision=["fp32", "int8"], trim=trim, thresholds=thresholds)
    assert result.ok, [problem.line() for problem in result.problems]
    texts = [*CORPUS, "Ça coûte 3,50 €"]
    encoder = Encoder(result.bundle, "fp32", threads=1)
    np.testing.assert_allclose(encoder.encode(texts), SentenceEncoder.load(model).encode(texts), rtol=0, atol=1e-5)
    assert result.about.trim is not None
    assert result.about.trim.corpus == "corpus.txt, more.txt"
    names = {file.name for file in result.bundle.iterdir()}
    assert not [name for name in names if name in ("vocab.txt", "vocab.json", "merges.txt") or name.endswith(".model")]


@pytest.mark.slow
def test_what_fails_the_gate_is_not_published(model: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(NothingPublishedError, match="trimmed vocabulary: cosine_mean") as raised:
        export(model, out, trim=Trim(corpus, limits={**LOOSE, "cosine_mean": 1.0}))
    assert not raised.value.result.ok
    assert not out.exists()
    command = ["export", str(model), "-o", str(out), "--trim-vocab", str(corpus), "--trim-min-cosine", "1"]
    done = RUN.invoke(app, [*command, "--json"])
    assert done.exit_code == 1
    printed = json.loads(done.stdout)
    assert printed["bundle"] is None
    assert printed["variants"] == {}
    assert "cosine_mean" in {problem["what"] for problem in printed["trim"]["problems"]}
    assert "not published: trimmed vocabulary: cosine_mean" in done.stderr
    assert not out.exists()
    said = "\n".join(map(str, export_report(raised.value.result)))
    assert "wrote nothing" in said
    assert "graded pairs: " in said


def test_its_options_need_a_corpus(model: Path, tmp_path: Path) -> None:
    for options in (["--trim-min-count", "2"], ["--trim-column", "text"], ["--trim-max-drop", "1"]):
        done = RUN.invoke(app, ["export", str(model), "-o", str(tmp_path / "bundle"), *options])
        assert done.exit_code == 2
        assert "need --trim-vocab" in done.stderr
