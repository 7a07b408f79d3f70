"""The official Mirror-BERT procedure, written anew from its published code, to measure ours against.

python -m benchmarks.training.official BASE CORPUS -o OUT

Kept as in train.py and src/ of cambridgeltl/mirror-bert: both views in passes of their own, every string padded to
the full length, the pooler on, one tokenizer call for each side of a batch inside the data loader, masking string by
string, AdamW with its defaults, the loss read after every step, incomplete batches dropped, half precision on CUDA
only. Different: no CUDA call where there is no CUDA, seeded masks, no experiment tracker, and the loss as one dense
matrix, which costs less than the expanded pair list of the package used there. The data loader works in this process
unless told otherwise; how long training waited for it is measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.machine.facts import peak_memory_bytes
from mirrorkit.machine.torch_device import pick_device
from mirrorkit.model.backbone import QuietTransformers
from mirrorkit.model.hub import locate_model

MASK = "[MASK]"  # whatever the tokenizer's own is called
SHORTEST_MASKED = 30  # characters

View = dict[str, Tensor]  # input_ids, token_type_ids and attention_mask, each int64 [batch, max_length]
Mask = Callable[[str, int, random.Random], str]  # (text, characters, generator) to its second view
Embed = Callable[[Any, View, str], Tensor]  # (encoder, view, pooling) to vectors, [batch, dim]


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters of the script mirror_sentence_bert.sh."""

    epochs: int = 1
    batch_size: int = 200  # pairs
    max_length: int = 50  # tokens every string is cut or padded to
    learning_rate: float = 2e-5
    weight_decay: float = 0.01
    temperature: float = 0.04
    dropout: float = 0.1
    span_mask: int = 5  # characters hidden on one side; 0 for none
    pooling: str = "mean"  # over padding too; or cls
    loader_workers: int = 0  # processes; train.py has 16
    seed: int = 42


@dataclass(frozen=True)
class Stats:
    """Figures of one training run; seconds are wall time."""

    steps: int
    pairs: int
    loss: float  # mean over the steps
    tokenise_seconds: float  # that training waited for the data loader
    train_seconds: float
    peak_memory_bytes: int | None
    peak_device_memory_bytes: int | None


def load(base: str, settings: Settings, device: str, *, lower_case: bool = True) -> tuple[Any, Any]:
    """Return the encoder with its pooler, in fp32 on `device`, and the tokenizer, which is told to lower-case."""
    folder = read_layout(locate_model(base).folder).weights
    lowered = {"do_lower_case": True} if lower_case else {}
    with QuietTransformers():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, **lowered)
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = settings.dropout
        encoder = transformers.AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    return encoder.to(device), tokenizer


def mask_span(text: str, width: int, rng: random.Random) -> str:
    """Replace the first occurrence of a random span by the mask token."""
    if width == 0 or len(text) < max(SHORTEST_MASKED, width + 1):
        return text
    start = rng.randrange(len(text) - width)
    span = text[start : start + width]
    place = text.index(span)
    return f"{text[:place]} {MASK} {text[place + width :]}"


def embed(encoder: Any, view: View, pooling: str) -> Tensor:
    """Return [batch, dim], not normalised."""
    hidden: Tensor = encoder(**view).last_hidden_state  # [batch, max_length, dim]
    return hidden[:, 0] if pooling == "cls" else hidden.mean(dim=1)


def contrastive_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return NT-Xent over both views, [batch, dim] each: 2 * batch - 2 negatives for every row."""
    both = normalize(torch.cat([first, second]), dim=-1)
    itself = torch.eye(len(both), dtype=torch.bool, device=both.device)
    similarity = (both @ both.T / temperature).masked_fill(itself, float("-inf"))
    partner = torch.arange(len(both), device=both.device).roll(len(first))
    return torch.nn.functional.cross_entropy(similarity, partner)


class _Pairs(torch.utils.data.Dataset[tuple[str, str]]):
    def __init__(self, texts: Sequence[str], settings: Settings, mask: Mask) -> None:
        self._texts, self._mask = texts, mask
        self._width = settings.span_mask
        self._rng = random.Random(settings.seed)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> tuple[str, str]:
        text = self._texts[index]
        return text, self._mask(text, self._width, self._rng)


def batches(
    texts: Sequence[str], tokenizer: Any, settings: Settings, mask: Mask = mask_span, *, drop_last: bool = True
) -> DataLoader[Any]:
    """Return a loader of shuffled (first views, second views); what does not fill a batch is dropped."""

    def tokenise(side: Sequence[str]) -> View:
        return dict(
            tokenizer(
                list(side), max_length=settings.max_length, padding="max_length", truncation=True, return_tensors="pt"
            )
        )

    def collate(pairs: list[tuple[str, str]]) -> tuple[View, View]:
        first, second = zip(*pairs, strict=True)
        return tokenise(first), tokenise(second)

    return DataLoader(
        _Pairs(texts, settings, mask),
        batch_size=settings.batch_size,
        shuffle=True,
        drop_last=drop_last,
        num_workers=settings.loader_workers,
        collate_fn=collate,
    )


class _Waiting:
    """Count the seconds that iterating over a loader waits for it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, loader: DataLoader[Any]) -> Iterator[tuple[View, View]]:
        start = time.perf_counter()
        for batch in loader:
            self.seconds += time.perf_counter() - start
            yield batch
            start = time.perf_counter()


def train(
    encoder: Any,
    tokenizer: Any,
    texts: Sequence[str],
    settings: Settings,
    *,
    mask: Mask = mask_span,
    pool: Embed = embed,
    drop_last: bool = True,
    steps: int = 0,
    autocast: torch.dtype | None = None,
) -> Stats:
    """Fine-tune `encoder` in place, on the device it is on.

    As published where nothing else is given. `steps` takes the place of the epochs, and `autocast` that of half
    precision on CUDA and full elsewhere; the others are the places of known faults.
    """
    if drop_last and len(texts) < settings.batch_size:
        raise ConfigError(f"{len(texts)} strings: the official procedure needs one batch of {settings.batch_size}")
    device = next(encoder.parameters()).device
    on_cuda = device.type == "cuda"
    dtype = autocast or (torch.float16 if on_cuda else torch.float32)
    torch.manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    loader, waiting, losses = batches(texts, tokenizer, settings, mask, drop_last=drop_last), _Waiting(), []
    passes = itertools.count() if steps else range(settings.epochs)
    pairs = 0
    encoder.train()
    start = time.perf_counter()
    drawn = itertools.chain.from_iterable(waiting.over(loader) for _ in passes)
    for views in itertools.islice(drawn, steps or None):
        optimizer.zero_grad()
        first, second = ({name: ids.to(device) for name, ids in view.items()} for view in views)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            left, right = (pool(encoder, view, settings.pooling) for view in (first, second))
            loss = contrastive_loss(left, right, settings.temperature)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        pairs += len(left)
    spent = time.perf_counter() - start
    return Stats(
        steps=len(losses),
        pairs=pairs,
        loss=sum(losses) / len(losses),
        tokenise_seconds=waiting.seconds,
        train_seconds=spent - waiting.seconds,
        peak_memory_bytes=peak_memory_bytes(),
        peak_device_memory_bytes=torch.cuda.max_memory_allocated(device) if on_cuda else None,
    )


def run(base: str, corpus: Path, out: Path, settings: Settings, device: str) -> dict[str, Any]:
    """Load, train and save; return the figures under the names that `mirrorkit finetune --json` has for them."""
    start = time.perf_counter()
    try:
        with corpus.open(encoding="utf-8") as file:
            texts = [line.rstrip("\n") for line in file]
    except (OSError, UnicodeDecodeError) as err:
        raise CorpusError(f"{corpus}: cannot be read as UTF-8 text ({err})") from err
    encoder, tokenizer = load(base, settings, pick_device(device))
    loaded = time.perf_counter()
    stats = train(encoder, tokenizer, texts, settings)
    trained = time.perf_counter()
    with QuietTransformers():
        encoder.save_pretrained(out)
        tokenizer.save_pretrained(out)
    end = time.perf_counter()
    figures = asdict(stats)
    figures["precision"] = "fp16" if stats.peak_device_memory_bytes is not None else "fp32"
    figures["seconds"] = {
        "load": loaded - start,
        "tokenise": figures.pop("tokenise_seconds"),
        "train": figures.pop("train_seconds"),
        "save": end - trained,
        "total": end - start,
    }
    return figures


def main() -> None:
    """Read the command line, train, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = vars(parser.parse_args())
    settings = Settings(**{name: args[name] for name in asdict(Settings())})
    try:
        print(json.dumps(run(args["base"], args["corpus"], args["out"], settings, args["device"])))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
