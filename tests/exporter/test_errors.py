"""What an export refuses, and what an interrupted one leaves behind: nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from mirrorkit import SentenceEncoder
from mirrorkit.errors import ConfigError, CorpusError, ExportError, MirrorkitError, ModelError, OutputError
from mirrorkit.exporter import pipeline, variants
from mirrorkit.exporter.pipeline import export
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.progress import Silent
from mirrorkit.verification.check import check
from tests.exports import traced_once

FAST: dict[str, Any] = {"precision": ["fp32"], "optimize": False}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with traced_once(tmp_path_factory):
        yield tmp_path_factory.mktemp("errors")


@pytest.fixture
def model(tiny_random: Callable[[str], Path], tmp_path: Path) -> Path:
    """Return a model folder to spoil, with nothing else beside it."""
    folder = tmp_path / "in" / "model"
    SentenceEncoder.load(tiny_random("bert"), pooling="cls").save(folder)
    return folder


def refused(model: Path, error: type[MirrorkitError], words: str, **options: Any) -> None:
    """Expect one clear error and nothing written."""
    out = model.parents[1] / "out" / "bundle"
    with pytest.raises(error, match=words) as caught:
        export(model, out, **{**FAST, **options})
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def truncate(model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def break_weights(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    next(t for t in tensors.values() if t.is_floating_point()).view(-1)[3] = float("nan")
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def without_tokenizer(model: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        (model / name).unlink(missing_ok=True)


def as_adapter(model: Path) -> None:
    for file in model.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    (model / "adapter_config.json").write_text("{}", encoding="utf-8")


def as_classifier(model: Path) -> None:
    (model / "modules.json").unlink()
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertForSequenceClassification"]
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")


def climbing(model: Path) -> None:
    modules = json.loads((model / "modules.json").read_text(encoding="utf-8"))
    modules[1]["path"] = "../../elsewhere"
    (model / "modules.json").write_text(json.dumps(modules), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (truncate, ModelError, "weights cannot be loaded"),
        (break_weights, ModelError, "NaN or infinity"),
        (without_tokenizer, ModelError, "no tokenizer"),
        (as_adapter, ModelError, "only an adapter"),
        (as_classifier, ExportError, "BertForSequenceClassification.*`pooling=mean`"),
        (climbing, ModelError, "leads out of the folder"),
    ],
)
def test_a_model_that_cannot_be_exported_is_one_line(
    model: Path, spoil: Callable[[Path], None], error: type[MirrorkitError], words: str
) -> None:
    spoil(model)
    refused(model, error, words)


def test_a_classifiers_body_is_exported_on_demand(model: Path, tmp_path: Path, home: Path) -> None:
    as_classifier(model)
    result = export(model, tmp_path / "bundle", pooling="cls", **FAST)
    assert result.ok
    assert json.loads((result.bundle / "config.json").read_text(encoding="utf-8"))["architectures"] == ["BertModel"]


def test_padded_mean_is_never_called_mean(model: Path) -> None:
    SentenceEncoder.load(model, pooling="mean-padded", max_length=32).save(model)
    refused(model, ExportError, "mean-padded averages over padding")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"precision": ["fp64"]}, ConfigError, "'fp64': must be among fp32, fp16, int8, int4"),
        ({"precision": []}, ConfigError, "must be among"),
        ({"max_length": 65}, ConfigError, "takes 2 to 64 tokens"),
        ({"opset": 9}, ExportError, "opset 9: must be"),
        ({"pooling": "median"}, ConfigError, "must be one of cls"),
        ({"thresholds": {"cosine_min": 2}}, ConfigError, "from -1 to 1"),
        ({"thresholds": {"beauty": 1}}, ConfigError, "must be one of cosine_min"),
        ({"calibration": "no such file.txt"}, CorpusError, "no such file.txt"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(
    model: Path, options: dict[str, Any], error: type[MirrorkitError], words: str
) -> None:
    refused(model, error, words, **options)


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (pipeline, "adapt_to_readers"),
        (variants, "export_onnx"),
        (variants, "fuse"),
        (variants, "quantize_int8"),
        (pipeline, "write_goldens"),
        (pipeline, "write_manifest"),
    ],
)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_nothing(
    model: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, error: Any
) -> None:
    monkeypatch.setattr(module, name, failing(error))
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        export(model, tmp_path / "out" / "bundle", precision=["fp32", "int8"])
    assert list((tmp_path / "out").iterdir()) == []


def test_too_small_a_disk_is_told_before_the_work(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    monkeypatch.setattr(pipeline, "adapt_to_readers", failing(AssertionError("too late")))
    refused(model, OutputError, "needs about 1[67] MB, the disk has 10 MB free")


def test_an_existing_bundle_is_replaced_only_when_asked(model: Path, tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out" / "bundle"
    export(model, out, **FAST)
    with pytest.raises(OutputError, match="`overwrite=True`"):
        export(tmp_path / "no such model", out)  # refused before anything is looked at
    export(model, out, **FAST, max_length=16, overwrite=True)
    assert read_bundle(out).max_length == 16
    assert [f.name for f in out.parent.iterdir()] == ["bundle"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(OutputError, match="is not overwritten"):
        export(model, tmp_path / "mine", **FAST, overwrite=True)
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_of_two_exports_to_one_place_the_second_is_told_who_holds_it(model: Path, tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out" / "bundle"
    refused: list[str] = []

    class Other(Silent):
        def phase(self, name: str) -> None:
            if name == "verifying fp32":
                with pytest.raises(OutputError, match=rf"is being written by process {os.getpid()} on") as told:
                    export(model, out, **FAST, max_length=16)
                refused.append(str(told.value))

    export(model, out, **FAST, max_length=32, progress=Other())
    assert len(refused) == 1
    assert [f.name for f in out.parent.iterdir()] == ["bundle"]
    assert read_bundle(out).max_length == 32
    assert check(out).ok


def test_a_bundle_that_fails_its_own_check_is_not_published(
    model: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = vars(pipeline)["write_goldens"]

    def forge(file: Path, texts: list[str], *rest: Any) -> None:
        write(file, [f"{text} changed" for text in texts], *rest)

    monkeypatch.setattr(pipeline, "write_goldens", forge)
    with pytest.raises(ExportError, match=r"does not pass its own check: tokenizer\.json: texts whose ids"):
        export(model, tmp_path / "out" / "bundle", **FAST)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["onnx/model.onnx", "README.md"])
def test_a_kill_leaves_no_part_of_a_bundle(model: Path, tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out" / "bundle"
    code = (
        "import sys, time; from mirrorkit.exporter import pipeline; finish = pipeline._finish\n"
        "def slow(*args):\n    finish(*args); time.sleep(60)\n"
        "pipeline._finish = slow\n"
        f"pipeline.export({str(model)!r}, {str(out)!r}, precision=['fp32'], optimize=False)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        deadline = time.monotonic() + 120
        while not any(out.parent.glob(f".bundle.mirrorkit/new/{moment}")):
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline, "never came to write it"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert not out.exists()
    result = export(model, out, **FAST)
    assert result.ok
    assert check(out).ok
