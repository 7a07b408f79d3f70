"""Train the tiny masked language model that ships in mirrorkit/assets/tiny-mlm, from text that anyone has.

python -m benchmarks.pretrain_tiny --run-dir /tmp/tiny-run --steps 14500 --out mirrorkit/assets/tiny-mlm

The same command again resumes from the last checkpoint in --run-dir.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from torch.optim import AdamW
from transformers import BertConfig, BertForMaskedLM

from benchmarks import pretrain_text as corpus
from benchmarks.pretrain_text import PAD, SPECIAL, Lines, Masked, mask

log = logging.getLogger("pretrain_tiny")

PLAN_AT = 60  # steps whose time tells how many fit into --minutes
UNPLANNED = 10_000  # until then the warm-up is that of a run of so many steps


@dataclass(frozen=True)
class Config:
    """Hold what decides the result; the defaults are those of the model that ships."""

    layers: int = 2
    hidden: int = 256
    heads: int = 4
    intermediate: int = 768
    vocab: int = 8000
    max_length: int = 128  # positions, [CLS] and [SEP] included
    dropout: float = 0.1  # while pre-training; config.json says 0.1 in any case
    mask_share: float = 0.15  # of the words; 80 % [MASK], 10 % random, 10 % left as they are
    whole_words: bool = True  # mask all pieces of a word together, else each by itself
    batch_tokens: int = 4096  # a batch's size with its padding
    lr: float = 1e-3
    warmup: float = 0.04  # share of all steps
    weight_decay: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class Material:
    """Hold all that training reads."""

    tokenizer: Tokenizer
    inner: npt.NDArray[np.bool_]  # [vocab], true where a piece is masked along with the one before
    lines: Lines
    checks: list[Masked]  # the held-out lines, masked once for all
    counts: dict[str, int]


@dataclass
class Progress:
    """Count what a checkpoint carries on from."""

    step: int = 0
    steps: int = 0  # planned; 0 while --minutes has not been turned into steps
    tokens: int = 0  # seen, padding left out
    seconds: float = 0.0


def masked_loss(model: BertForMaskedLM, batch: Masked) -> torch.Tensor:
    """Score the masked positions alone: the decoder costs as much as a layer if run on all."""
    # bfloat16 doubles the speed where the processor has AVX512-BF16 (7.2k to 15.4k tokens/s at 2x256).
    with torch.autocast("cpu", torch.bfloat16):
        states = model.bert(input_ids=batch.ids, attention_mask=batch.attention).last_hidden_state
        logits = model.cls(states.flatten(0, 1)[batch.positions])  # [masked, vocab]
    return cross_entropy(logits.float(), batch.targets)


def build(config: Config) -> BertForMaskedLM:
    """Make the model with fresh weights from the seed."""
    torch.manual_seed(config.seed)
    shape = BertConfig(
        vocab_size=config.vocab,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate,
        max_position_embeddings=config.max_length,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        pad_token_id=PAD,
    )
    return BertForMaskedLM(shape)


def build_optimizer(model: BertForMaskedLM, config: Config) -> AdamW:
    """Make AdamW; biases and norms are not decayed."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for _, p in named if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for _, p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=config.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


def learning_rate(step: int, steps: int, config: Config) -> float:
    """Rise linearly over the warm-up, then fall along a cosine to zero at the last step."""
    warm = max(1, int(config.warmup * steps))
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(1, steps - warm))))


@torch.no_grad()
def held_out_loss(model: BertForMaskedLM, batches: list[Masked]) -> float:
    """Average the loss per masked piece over fixed masks of the held-out lines."""
    model.train(False)
    total = sum(float(masked_loss(model, b)) * len(b.targets) for b in batches)
    model.train(True)
    return total / sum(len(b.targets) for b in batches)


def weights(model: BertForMaskedLM, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Copy the weights under their Hugging Face names; the tied decoder and its bias are stored once."""
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    return {k: v.to(dtype).contiguous() for k, v in model.state_dict().items() if k not in tied}


def save_checkpoint(run_dir: Path, model: BertForMaskedLM, optimizer: AdamW, at: Progress) -> None:
    """Write a checkpoint folder under a temporary name, then rename it: none is ever half written."""
    part = run_dir / "checkpoint.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_file(weights(model, torch.float32), part / "model.safetensors")
    torch.save({"optimizer": optimizer.state_dict(), "progress": asdict(at)}, part / "state.pt")
    older = sorted(run_dir.glob("checkpoint-*"))
    part.replace(run_dir / f"checkpoint-{at.step:08d}")
    for folder in older:
        shutil.rmtree(folder)


def load_checkpoint(run_dir: Path, model: BertForMaskedLM, optimizer: AdamW) -> Progress:
    """Restore the newest checkpoint, if there is one, and tell how far it had come."""
    found = sorted(run_dir.glob("checkpoint-*"))
    if not found:
        return Progress()
    model.load_state_dict(load_file(found[-1] / "model.safetensors"), strict=False)
    state = torch.load(found[-1] / "state.pt", weights_only=True)
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])


def prepare(run_dir: Path, data: Path, config: Config) -> Material:
    """Collect the text, train the tokenizer where run_dir has none yet, and encode."""
    text = corpus.collect(corpus.TextConfig(data))
    path = run_dir / "tokenizer.json"
    if not path.exists():
        corpus.train_tokenizer(text.train + text.words, config.vocab).save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    pieces = corpus.vocabulary(tokenizer)
    inner = np.array([config.whole_words and piece.startswith("##") for piece in pieces])
    lines = corpus.encode(tokenizer, text.train, config.max_length)
    kept_out = corpus.encode(tokenizer, text.held_out, config.max_length)
    rng = np.random.default_rng(0)  # the same masks for every seed: losses compare
    plan = corpus.plan_epoch(kept_out.lengths, 4096, rng)
    checks = [mask(corpus.pad(kept_out, rows), inner, config.mask_share, rng) for rows in plan for _ in range(2)]
    counts = text.sources | {"held_out_lines": len(text.held_out), "tokens_an_epoch": len(lines.ids)}
    return Material(tokenizer, inner, lines, checks, counts)


def train(run_dir: Path, data: Path, config: Config, steps: int, minutes: float, save_every: int) -> None:
    """Train for `steps`, or for as many as fit into `minutes`; resume where run_dir holds a checkpoint."""
    material = prepare(run_dir, data, config)
    model = build(config)
    optimizer = build_optimizer(model, config)
    at = load_checkpoint(run_dir, model, optimizer)
    at.steps = steps or at.steps  # a resumed run may be given a new plan
    started = time.monotonic() - at.seconds
    losses: list[float] = []
    record: dict[str, Any] = {}
    for batch in corpus.stream(material.lines, config.batch_tokens, config.seed, at.step):
        if at.step == PLAN_AT and not at.steps:
            at.steps = int(PLAN_AT * minutes * 60 / at.seconds)
            log.info("%.3f s a step: %d steps planned", at.seconds / PLAN_AT, at.steps)
        # Seeded step by step, so that a resumed run draws what the unbroken one would have drawn.
        torch.manual_seed(config.seed * 1_000_003 + at.step)
        rng = np.random.default_rng((config.seed, at.step, 7))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(at.step, at.steps or UNPLANNED, config)
        loss = masked_loss(model, mask(batch, material.inner, config.mask_share, rng))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        at.step += 1
        at.tokens += int((batch != PAD).sum())
        at.seconds = time.monotonic() - started
        done = at.step == at.steps
        if done or at.step % 250 == 0:
            record = asdict(at) | {"train_loss": float(np.mean(losses))}
            record["held_out_loss"] = held_out_loss(model, material.checks)
            record["epochs"] = at.tokens / len(material.lines.ids)
            record["lr"] = optimizer.param_groups[0]["lr"]
            log.info(json.dumps({k: round(v, 4) for k, v in record.items()}))
            with (run_dir / "log.jsonl").open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(record) + "\n")
            losses = []
        if done or at.step % save_every == 0:
            save_checkpoint(run_dir, model, optimizer, at)
        if done:
            break
    write_model(run_dir / "model", model, material.tokenizer, config)
    summary = {"config": asdict(config), "text": material.counts, "result": record}
    summary["parameters"] = sum(p.numel() for p in model.parameters())
    summary["versions"] = {m.__name__: m.__version__ for m in (torch, transformers, tokenizers)}
    (run_dir / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def write_model(out: Path, model: BertForMaskedLM, tokenizer: Tokenizer, config: Config) -> None:
    """Write a Hugging Face folder with fp16 weights; what else lies in the folder (its card) stays."""
    out.mkdir(parents=True, exist_ok=True)
    shape = model.config.to_dict()
    names = "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act"
    names += " max_position_embeddings type_vocab_size initializer_range layer_norm_eps pad_token_id"
    described: dict[str, Any] = {"architectures": ["BertForMaskedLM"], "model_type": "bert"}
    described |= {name: shape[name] for name in names.split()}
    described |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.1)
    described["tie_word_embeddings"] = True
    # The file holds fp16 to be small, but training wants fp32: transformers 5 loads what "dtype" says.
    described["dtype"] = "float32"
    roles = {f"{piece.strip('[]').lower()}_token": piece for piece in SPECIAL}
    settings: dict[str, Any] = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    settings["strip_accents"] = True
    settings |= {"tokenize_chinese_chars": True, "model_max_length": config.max_length, **roles}
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        part = Path(temporary)
        save_file(weights(model, torch.float16), part / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(str(part / "tokenizer.json"))
        (part / "vocab.txt").write_text("\n".join(corpus.vocabulary(tokenizer)) + "\n", encoding="utf-8")
        files = {"config": described, "tokenizer_config": settings, "special_tokens_map": roles}
        for name, content in files.items():
            (part / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        for file in part.iterdir():
            file.replace(out / file.name)


def main() -> None:
    """Read the command line, train, and put the folder in place."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    here = Path(__file__).resolve().parent.parent
    parser.add_argument("--run-dir", type=Path, required=True, help="checkpoints, log and summary")
    parser.add_argument("--data", type=Path, default=here.parent / "shared" / "data" / "corpora")
    parser.add_argument("--out", type=Path, help="where the finished model goes")
    # WordPiece training breaks ties by hash order: two trainings on one text differ in some pieces and ids.
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json to take instead of training one")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0.0, help="instead of --steps: as many as fit")
    parser.add_argument("--threads", type=int, default=0, help="0: as torch likes")
    parser.add_argument("--save-every", type=int, default=1000)
    for name, value in asdict(Config()).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=value)
        else:
            parser.add_argument(option, type=type(value), default=value)
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if not args["steps"] and not args["minutes"]:
        parser.error("give --steps or --minutes")
    args["run_dir"].mkdir(parents=True, exist_ok=True)
    if args["tokenizer"]:
        shutil.copyfile(args["tokenizer"], args["run_dir"] / "tokenizer.json")
    if args["threads"]:
        torch.set_num_threads(args["threads"])
    config = Config(**{name: args[name] for name in asdict(Config())})
    train(args["run_dir"], args["data"], config, args["steps"], args["minutes"], args["save_every"])
    if args["out"]:
        shutil.copytree(args["run_dir"] / "model", args["out"], dirs_exist_ok=True)
        log.info("written to %s", args["out"])


if __name__ == "__main__":
    main()
