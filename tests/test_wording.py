"""The library speaks of parameters: call every public function wrongly and read what it says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import torch

import mirrorkit
from mirrorkit import (
    Encoder,
    MirrorkitError,
    ModuleEncoder,
    MtebEncoder,
    Recipe,
    SentenceEncoder,
    Tensorrt,
    TextSearch,
    Trim,
    adapt,
    attach,
    build_engine,
    check,
    check_vectors,
    compare,
    encode_file,
    encode_shards,
    evaluate,
    evaluate_knn,
    evaluate_retrieval,
    evaluate_search,
    evaluate_sts,
    export,
    finetune,
    load_shards,
    nt_xent,
    pack,
    push,
    rebuild_engine,
    run_bench,
    unpack,
)
from mirrorkit.demo.run import run_demo
from mirrorkit.exporter.operators import required_operators, write_operators
from mirrorkit.exporter.triton.repository import write_repository
from mirrorkit.runtime.similarity import similarity
from tests.lookups import lookup_bundle


@pytest.fixture(scope="module")
def where(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of a bundle, a text file, a table of two columns, and an occupied folder."""
    home = tmp_path_factory.mktemp("wording")
    lookup_bundle(home / "bundle", tiny)
    (home / "texts.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (home / "table.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    (home / "full").mkdir()
    (home / "full" / "notes.txt").write_text("mine\n", encoding="utf-8")
    (home / "there.npy").write_bytes(b"mine")
    (home / "classifier").mkdir()
    for file in tiny.iterdir():
        if file.is_file():
            shutil.copy(file, home / "classifier")
    config = json.loads((home / "classifier" / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertForSequenceClassification"]
    (home / "classifier" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return home


TEXTS = ["a text", "another text", "a third"]

# For each public function: how it is called wrongly, with the folder above, and the parameter that it must name.
WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "finetune over something": (lambda w: finetune("tiny", TEXTS, w / "full"), "overwrite"),
    "finetune, a field": (lambda _: finetune("tiny", TEXTS, epochs=0), "epochs"),
    "finetune, an unknown field": (lambda _: finetune("tiny", TEXTS, epoch=1), "epoch"),  # type: ignore[call-arg]
    "finetune, recipe": (lambda _: finetune("tiny", TEXTS, recipe="sonnet"), "recipe"),
    "finetune, seeds": (lambda _: finetune("tiny", TEXTS, seeds=0), "seeds"),
    "finetune, limit": (lambda _: finetune("tiny", TEXTS, limit=1), "limit"),
    "finetune, pairs": (lambda _: finetune("tiny", TEXTS, pairs=True), "pairs"),
    "finetune, device": (lambda _: finetune("tiny", TEXTS, device="abacus"), "device"),
    "finetune, autocast": (lambda _: finetune("tiny", TEXTS, device="cpu", autocast="fp16"), "autocast"),
    "finetune, length": (lambda _: finetune("tiny", TEXTS, max_length=9999), "max_length"),
    "finetune, rate": (lambda _: finetune("tiny", TEXTS, learning_rate=1e38, device="cpu"), "learning_rate"),
    "finetune, column": (lambda w: finetune("tiny", w / "table.csv"), "text_column"),
    "finetune, column of text": (lambda w: finetune("tiny", w / "texts.txt", text_column="a"), "text_column"),
    "finetune, eval_dir": (lambda w: finetune("tiny", TEXTS, eval_dir=w / "no"), "no"),
    "finetune, evaluate": (lambda w: finetune("tiny", TEXTS, evaluate=w / "texts.txt"), "KIND:FILE"),
    "finetune, dev": (lambda w: finetune("tiny", TEXTS, dev="knm:x"), "knm"),
    "SentenceEncoder.load, pooling": (lambda _: SentenceEncoder.load("tiny", pooling="median"), "pooling"),
    "SentenceEncoder.load, max_length": (lambda _: SentenceEncoder.load("tiny", max_length=1), "max_length"),
    "SentenceEncoder.load, dropout": (lambda _: SentenceEncoder.load("tiny", dropout=1.0), "dropout"),
    "finetune, equal views": (lambda _: finetune("tiny", TEXTS, dropout=0, span_mask=0), "allow_equal_views"),
    "finetune, views": (lambda _: finetune("tiny", TEXTS, views=lambda text, rng: (text, "")), "views"),
    "finetune, loss": (lambda _: finetune("tiny", TEXTS, loss=lambda a, b, t: a, device="cpu"), "loss"),
    "finetune, lora": (lambda _: finetune("tiny", TEXTS, lora=-1), "lora"),
    "finetune, a module": (lambda _: finetune(torch.nn.Linear(2, 2), TEXTS), "width"),  # type: ignore[arg-type]
    "ModuleEncoder": (lambda _: ModuleEncoder(torch.nn.Linear(2, 2)), "width"),  # type: ignore[arg-type]
    "nt_xent": (lambda _: nt_xent(torch.eye(2), temperature=0.0), "temperature"),
    "nt_xent, rows": (lambda _: nt_xent(torch.eye(3), temperature=1.0), "vectors"),
    "export, pooling": (lambda _: export("tiny", "x", pooling="median"), "pooling"),
    "export over something": (lambda w: export("tiny", w / "full"), "overwrite"),
    "export, precision": (lambda w: export("tiny", w / "new", precision=["fp64"]), "precision"),
    "export, thresholds": (lambda w: export("tiny", w / "new", thresholds={"max_abs": 5}), "max_abs"),
    "export, a classifier": (lambda w: export(w / "classifier", w / "new"), "pooling"),
    "export, trim": (lambda w: export("tiny", w / "new", trim=Trim("-")), "trim"),
    "export, trim count": (lambda w: export("tiny", w / "new", trim=Trim("x", min_count=0)), "min_count"),
    "export, trim limit": (
        lambda w: export("tiny", w / "new", trim=Trim("x", limits={"unchanged": 7})),
        "unchanged",
    ),
    "check, revision": (lambda w: check(w / "bundle", revision="v1"), "revision"),
    "push": (lambda w: push(w / "bundle", "nowhere"), "repository"),
    "Encoder, revision": (lambda w: Encoder(w / "bundle", revision="v1"), "revision"),
    "encode_shards, part": (lambda w: encode_shards(w / "bundle", [w / "texts.txt"], w / "s", part="9/3"), "part"),
    "encode_shards, two at once": (
        lambda w: encode_shards(w / "bundle", [w / "texts.txt"], w / "s", status=True, finish=True),
        "finish",
    ),
    "encode_shards, on_error": (
        lambda w: encode_shards(w / "bundle", [w / "texts.txt"], w / "s", on_error="go on"),
        "on_error",
    ),
    "encode_shards, keep": (lambda w: encode_shards(w / "bundle", [w / "texts.txt"], w / "s", keep=["a", "a"]), "keep"),
    "load_shards, to": (lambda w: load_shards(w / "bundle", "mysql://host/base"), "to"),
    "encode_file, output_type": (
        lambda w: encode_file(w / "bundle", str(w / "texts.txt"), w / "new.npy", output_type="int2"),
        "output_type",
    ),
    "check": (lambda w: check(w / "bundle", variants=["fp64"]), "fp64"),
    "check_vectors": (lambda w: check_vectors(w / "bundle", w / "there.npy"), "there.npy"),
    "Encoder, expect": (lambda w: Encoder(w / "bundle", expect="short"), "expect"),
    "Encoder, variant": (lambda w: Encoder(w / "bundle", "fp64"), "variant"),
    "Encoder, device": (lambda w: Encoder(w / "bundle", device="abacus"), "device"),
    "Encoder, threads": (lambda w: Encoder(w / "bundle", threads=0), "threads"),
    "Encoder, rebuild": (lambda w: Encoder(w / "bundle", tensorrt=Tensorrt(rebuild=print)), "rebuild"),
    "Encoder, engine": (lambda w: Encoder(w / "bundle", tensorrt=Tensorrt(w / "full")), "full"),
    "encode_file over something": (
        lambda w: encode_file(w / "bundle", str(w / "texts.txt"), w / "there.npy"),
        "overwrite",
    ),
    "encode_file, resume": (
        lambda w: encode_file(w / "bundle", str(w / "texts.txt"), w / "new.npy", resume=True),
        "resume",
    ),
    "encode_file, column": (lambda w: encode_file(w / "bundle", str(w / "table.csv"), w / "new.npy"), "text_column"),
    "TextSearch": (lambda w: TextSearch(w / "bundle", w / "texts.txt", unit="page"), "unit"),
    "TextSearch, column": (lambda w: TextSearch(w / "bundle", w / "table.csv"), "text_column"),
    "adapt": (lambda w: adapt(w / "bundle", w / "bundle", w / "texts.txt", w / "new", min_recall=2), "min_recall"),
    "adapt, texts": (
        lambda w: adapt(w / "bundle", w / "bundle", w / "texts.txt", w / "new", new_variant="fp32"),
        "texts.txt",
    ),
    "adapt over something": (
        lambda w: adapt(w / "bundle", w / "bundle", w / "texts.txt", w / "full"),
        "overwrite",
    ),
    "attach": (lambda w: attach(w / "bundle", w / "full", w / "new"), "adapter"),
    "Encoder, adapter": (lambda w: Encoder(w / "bundle", adapter=w / "full"), "adapter"),
    "similarity": (lambda w: similarity(w / "bundle", ["one"]), "two"),
    "rebuild_engine": (lambda w: rebuild_engine(w / "bundle", w / "full"), "full"),
    "build_engine, precision": (lambda w: build_engine(w / "bundle", w / "new", precision="fp64"), "precision"),
    "build_engine, backend": (lambda w: build_engine(w / "bundle", w / "new", backend="abacus"), "backend"),
    "build_engine over something": (lambda w: build_engine(w / "bundle", w / "full"), "overwrite"),
    "Recipe": (lambda _: Recipe(epochs=0), "epochs"),
    "Trim": (lambda _: Trim("x", min_count=0), "min_count"),
    "Tensorrt": (lambda _: Tensorrt(rebuild=print), "rebuild"),
    "Pooling, of a recipe": (lambda _: Recipe(pooling="median"), "pooling"),
    "MtebEncoder.load": (lambda w: MtebEncoder.load(w / "bundle", pooling="mean"), "pooling"),
    "evaluate_retrieval": (lambda w: evaluate_retrieval(SentenceEncoder.load("tiny"), w / "no"), "no"),
    "evaluate_search": (lambda w: evaluate_search(SentenceEncoder.load("tiny"), w / "no"), "no"),
    "evaluate_knn": (lambda w: evaluate_knn(SentenceEncoder.load("tiny"), w / "no"), "no"),
    "evaluate_sts": (lambda w: evaluate_sts(SentenceEncoder.load("tiny"), w), "sts12.tsv"),
    "evaluate, tasks": (lambda _: evaluate("tiny", tasks=["a"]), "tasks"),
    "evaluate, languages": (lambda _: evaluate("tiny", languages=["a"]), "multisimlex"),
    "evaluate, geometry": (lambda w: evaluate("tiny", qnli=w / "x", geometry=True), "geometry"),
    "evaluate, candidates": (lambda w: evaluate("tiny", lexical=w / "x", bli_candidates="x"), "bli_candidates"),
    "evaluate, threads": (lambda _: evaluate("tiny", threads=2), "threads"),
    "evaluate, pooling": (lambda w: evaluate(w / "bundle", pooling="mean"), "pooling"),
    "run_bench, variants": (lambda w: run_bench(w / "bundle", variants=["fp64"]), "fp64"),
    "run_bench, lengths": (lambda w: run_bench(w / "bundle", lengths=[0]), "lengths"),
    "run_bench, budget": (lambda w: run_bench(w / "bundle", budget="slow"), "budget"),
    "compare": (lambda w: compare(w / "texts.txt", w / "texts.txt"), "texts.txt"),
    "operators": (lambda w: required_operators(w / "bundle", ["fp64"]), "fp64"),
    "pack": (lambda w: pack(w / "bundle", w / "new.zip"), "out"),
    "pack, variants": (lambda w: pack(w / "bundle", w / "new.mkit", variants=["fp64"]), "fp64"),
    "unpack": (lambda w: unpack(w / "texts.txt", w / "new"), "texts.txt"),
    "operators inside": (
        lambda w: write_operators(required_operators(w / "bundle"), w / "bundle" / "x.config"),
        "bundle",
    ),
    "triton over something": (lambda w: write_repository(w / "bundle", w / "full"), "overwrite"),
    "triton, device": (lambda w: write_repository(w / "bundle", w / "new", device="abacus"), "device"),
    "demo over something": (lambda w: run_demo(w / "full"), "overwrite"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_told_in_words_of_parameters(
    case: str, where: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    call, parameter = WRONG[case]
    with pytest.raises((MirrorkitError, TypeError, ValueError)) as caught:
        call(where)
    assert isinstance(caught.value, MirrorkitError), repr(caught.value)
    assert "--" not in str(caught.value)
    assert parameter in str(caught.value)


def test_every_public_function_is_among_them() -> None:
    """A new name is to be called wrongly here too, unless it is an error or what a function returns."""
    called = {case.replace(".", ",").partition(",")[0].partition(" ")[0] for case in WRONG}
    returned = {"FinetuneResult", "Evaluation", "StsReport", "SearchScore", "KnnScore", "ExportResult", "CheckResult"}
    returned |= {
        "Agreement",
        "BenchResult",
        "Comparison",
        "EncodeResult",
        "EngineResult",
        "PackResult",
        "PushResult",
        "Hit",
        "AdaptResult",
        "AttachResult",
        "ShardsResult",
        "LoadResult",
    }
    others = {"__version__", "Progress", "Backbone"}  # protocols, which nobody calls
    errors = {name for name in mirrorkit.__all__ if name.endswith("Error")}
    assert set(mirrorkit.__all__) - returned - others - errors <= called
