"""One measured run of the trainers: a few steps, or the whole command from the start of Python to the saved model."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import transformers

from benchmarks import record as files
from benchmarks.processes import Run, environment, run_json
from benchmarks.training.worker import Job
from mirrorkit.assets.documents import document_sentences
from mirrorkit.errors import ConfigError
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.model.backbone import QuietTransformers
from mirrorkit.model.hub import locate_model
from mirrorkit.training.corpus import load_corpus

DEFAULT_BASE = files.SHARED / "models" / "minilm-mlm"
DEFAULT_CORPUS = files.SHARED / "data" / "corpora" / "sentences_10k.txt"

SHAPES = {
    "bert-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "bert-tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
}
BERT_VOCABULARY = 30_522  # the embedding table is that large even for a tokenizer of fewer pieces
WHOLE = {  # variant of ours -> recipe and precision of its command
    "ours-fp32": ("sentence-bert", "fp32"),
    "ours": ("sentence-bert", "auto"),
    "ours-auto": ("auto", "auto"),
}
PEERS = ("sentence-transformers-fp32", "sentence-transformers-bf16")
PEER, PEER_PYTHON = Path(__file__).with_name("peer.py"), files.ROOT / ".venv-trainer" / "bin" / "python"
OFFICIAL_EVALUATION = 64  # tokens that the official evaluation pads every sentence to


def find_base(asked: str | None) -> str:
    """Return the folder of the base model; say so when the default is not there."""
    if asked is None and not DEFAULT_BASE.is_dir():
        print(f"{DEFAULT_BASE} is not there: measuring the shipped model, tiny", file=sys.stderr)
        asked = "tiny"
    return str(locate_model(asked or DEFAULT_BASE).folder.resolve())


def find_corpus(asked: Path | None, scratch: Path) -> Path:
    """Return the corpus file; say so when the default is not there."""
    if asked is not None or DEFAULT_CORPUS.is_file():
        return (asked or DEFAULT_CORPUS).resolve()
    print(f"{DEFAULT_CORPUS} is not there: measuring on the demo corpus", file=sys.stderr)
    file = scratch / "demo-corpus.txt"
    file.write_text("\n".join(document_sentences()) + "\n", encoding="utf-8")
    return file


def make_random(shape: str, tokenizer_of: str, folder: Path) -> str:
    """Write a BERT of random weights with the tokenizer of another model."""
    with QuietTransformers():
        tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_of, local_files_only=True)
        vocabulary = max(BERT_VOCABULARY, len(tokenizer))
        config = transformers.BertConfig(vocab_size=vocabulary, pad_token_id=tokenizer.pad_token_id, **SHAPES[shape])
        transformers.BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def draw_sample(corpus: Path, args: argparse.Namespace, scratch: Path) -> Path:
    """Write the distinct strings that every variant trains on, just enough for the steps."""
    needed = (args.warmup_steps + args.steps) * args.batch_size
    texts = load_corpus(corpus, limit=needed, seed=args.seed).texts
    if len(texts) < needed:
        raise ConfigError(
            f"{corpus.name}: {len(texts)} distinct strings, but {args.warmup_steps} + {args.steps} steps of "
            f"{args.batch_size} need {needed}; lower --steps or --batch-size"
        )
    sample = scratch / "sample.txt"
    sample.write_text("\n".join(texts), encoding="utf-8")
    return sample


def run_process(command: Sequence[str], what: str, threads: int) -> Run:
    """Run a Python command of this checkout that prints JSON; add the wall seconds from its start to its end."""
    return run_json([sys.executable, *command], what, environment(threads), files.ROOT)


def run_steps(variant: str, base: str, sample: Path, args: argparse.Namespace) -> Run:
    """Time a few steps of one variant; a peer's in its own environment."""
    names = ("steps", "warmup_steps", "batch_size", "max_length", "pooling", "device", "threads", "seed")
    job = Job(
        variant=variant,
        base=base,
        sample=str(sample),
        loader_workers=args.loader_workers,
        train_layers=getattr(args, "train_layers", 0),
        **{name: getattr(args, name) for name in names},
    )
    if variant in PEERS:
        # By the folder of the weights, which is what that library is given.
        given = json.dumps(asdict(job) | {"base": str(read_layout(Path(base)).weights)})
        return run_json([str(PEER_PYTHON), str(PEER), given], variant, environment(args.threads))
    return run_process(["-m", "benchmarks.training.worker", json.dumps(asdict(job))], variant, args.threads)


def run_whole(variant: str, base: str, corpus: Path, args: argparse.Namespace, sts: Path | None = None) -> Run:
    """Time one variant's own command and, given a folder of STS files, score the model before it is thrown away."""
    with tempfile.TemporaryDirectory() as scratch:
        model = f"{scratch}/model"
        command = [base, str(corpus), "--out", model, "--device", args.device, "--pooling", args.pooling]
        command += ["--batch-size", str(args.batch_size), "--max-length", str(args.max_length)]
        command += ["--seed", str(args.seed)]
        if variant == "official":
            command = ["-m", "benchmarks.training.official", *command, "--loader-workers", str(args.loader_workers)]
        else:
            recipe, precision = WHOLE[variant]
            ours = ["--recipe", recipe, "--autocast", precision, "--json", "--no-verdict"]
            command = ["-c", "from mirrorkit.cli.app import app; app()", "--quiet", "finetune", *command, *ours]
        figures = run_process(command, variant, args.threads)
        scored = {"sts": run_score(model, variant, sts, args)} if sts else {}
    kept = ("steps", "pairs", "loss", "precision", "seconds", "peak_memory_bytes", "peak_device_memory_bytes")
    trained = figures["seconds"]["tokenise"] + figures["seconds"]["train"]
    speed = {"variant": variant, "pairs_per_second": figures["pairs"] / trained}
    return speed | {name: figures[name] for name in (*kept, "command_seconds")} | scored


def run_score(model: str, variant: str, sts: Path, args: argparse.Namespace) -> Run:
    """Score a model folder on STS, pooled the way the variant was trained."""
    padded = variant == "official" and args.pooling == "mean"
    how = ["mean-padded", str(OFFICIAL_EVALUATION)] if padded else [args.pooling]
    command = ["-m", "benchmarks.training.score", model, str(sts), args.device, *how]
    scored = run_process(command, f"STS of {variant}", args.threads)
    return {name: scored[name] for name in ("average", "sets")}
