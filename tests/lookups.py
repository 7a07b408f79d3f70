"""A bundle to benchmark, made by hand in no time: vectors are sums of rows of a table, at length 1."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirrorkit.bench.measure import worker
from mirrorkit.bench.measure.plan import Budget
from mirrorkit.bench.measure.processes import Outcome
from mirrorkit.formats.bundle import GOLDEN, TOKENIZER, VARIANT_FILES, Bundle, Graph, Precision, Variant, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.golden import write_goldens
from mirrorkit.formats.pooling import Pooling
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.tokenizer import Tokenizer
from tests.bundles import save_graph, table
from tests.exports import after_pooling, edited

MANY = 8192  # tokens of the shipped tokenizer, at most
TEXTS = ["The museum opens at nine.", "A cup of tea, please.", "Rain is expected for most of the week."]
BERT = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
SMALL = Budget("small", seconds=1, min_rounds=2, max_rounds=2, texts=8, calls=3, resamples=50, gemm_seconds=0.01)
SHAPES: dict[str, Any] = {"lengths": [4, 8], "batches": [1, 2], "threads": 1, "budget": SMALL}


def lookup_bundle(folder: Path, model: Path) -> Path:
    """Write a bundle with the tokenizer of that model; fp32 and int8 are the same graph."""
    home = folder / "onnx"
    home.mkdir(parents=True)
    shutil.copyfile(model / TOKENIZER, folder / TOKENIZER)
    (folder / "config.json").write_text(json.dumps(BERT), encoding="utf-8")
    inputs, outputs = ("input_ids", "attention_mask"), ("last_hidden_state", "sentence_embedding")
    save_graph(home / "raw", table(MANY), inputs, outputs)
    normalise = after_pooling(("LpNormalization", ["x"], {"axis": 1, "p": 2}))
    for name in ("fp32", "int8"):
        edited(home / "raw", folder / VARIANT_FILES[name], normalise)
    (home / "raw").unlink()
    describe(folder)
    ids = Tokenizer(folder / TOKENIZER, 32).ids(TEXTS)
    write_goldens(folder / GOLDEN, TEXTS, ids, Encoder(folder, "fp32", threads=1).encode(TEXTS), [0, 1, 2])
    describe(folder)
    return folder


def describe(folder: Path) -> None:
    """Write the manifest of what is in the folder now."""
    variants = {n: Variant(n, VARIANT_FILES[n], Precision(n), Graph.ONNX) for n in ("fp32", "int8")}
    write_manifest(Bundle(folder, "bert", 8, 32, Pooling.MEAN, 0, variants, record_files(folder)))


def end_with(operator: str, bundle: Path) -> None:
    """Put another operator in the place of the normalisation at the end of the int8 graph."""

    def change(model: Any) -> None:
        (last,) = (node for node in model.graph.node if node.op_type == "LpNormalization")
        last.op_type = operator
        del last.attribute[:]

    file = bundle / VARIANT_FILES["int8"]
    edited(file, file, change)
    describe(bundle)


def work_here(job: Mapping[str, Any], subject: str) -> Outcome:
    """Do a worker's job in this process, which is a good deal faster; the machine's peak is made up."""
    if job["task"] == "gemm":
        return Outcome({"numpy": 1e10, "onnxruntime": 2e10}, 0.5)
    carried = json.loads(json.dumps(job))
    return Outcome(json.loads(json.dumps(worker.TASKS[job["task"]](carried))), 0.5)
