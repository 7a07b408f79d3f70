"""A few steps of masked language modelling on the corpus before the contrastive ones: the body gets to know the domain.

Of each string 15 % of the pieces are to be told from the others: of those 80 % are hidden, 10 % are another piece, 10 %
stay. The head is the base's own, with the embeddings as its last layer; it is trained too, and left behind afterwards.

Sources: Devlin et al. 2019 (BERT, arXiv:1810.04805) for the masks, Gururangan et al. 2020 ("Don't Stop Pretraining",
arXiv:2004.10964) for going on with it on text of the domain.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import ConfigError, ModelError, TrainingError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.formats.model_folder import ModelLayout
from mirrorkit.model.backbone import QuietTransformers
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.own_module import ModuleEncoder
from mirrorkit.text.ragged import Ints, RaggedIds, token_budget_batches
from mirrorkit.training.base import Base
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.pieces import two_crops
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.schedule import rate_factor
from mirrorkit.training.view_choice import Views

require("torch", extra="train")
import torch
from torch import Tensor, nn

require("transformers", extra="train")
import transformers

log = logging.getLogger(__name__)

SHARE = 0.15  # of the pieces that are to be told
_HIDDEN, _SWAPPED = 0.8, 0.1  # of those; the rest stays
_PASS = 4_096  # tokens that go through the body at once, padding included
_WARMUP = 0.1  # share of the steps in which the rate climbs; then it falls linearly to zero
_LONGEST_STEP = 1.0  # norm of the gradient above which it is shortened
_HEADLESS = ("decoder", "bias", "position_ids")  # weights that may be missing: tied, or zero to begin with


class _Given(nn.Module):
    """In the place of the body: gives the head the token vectors that it is to score, and no others."""

    def __init__(self) -> None:
        super().__init__()
        self.states = torch.empty(0)

    def forward(self, *_: object, **__: object) -> Any:
        return transformers.modeling_outputs.BaseModelOutput(last_hidden_state=self.states)


class Head:
    """The masked-LM head of a base over the body of an encoder."""

    def __init__(self, model: Any, encoder: SentenceEncoder) -> None:
        self._given = _Given()
        setattr(model, model.base_model_prefix, self._given)
        last = model.get_output_embeddings()
        if last is not None and getattr(model.config, "tie_word_embeddings", True):
            last.weight = encoder.backbone.get_input_embeddings().weight
        self._model, self._encoder = model.to(encoder.device).train(), encoder

    def weights(self) -> list[nn.Parameter]:
        """Return all that is trained, body and head, each once."""
        return list(dict.fromkeys([*self._encoder.backbone.parameters(), *self._model.parameters()]))

    def loss(self, ids: Tensor, mask: Tensor, rows: Tensor, columns: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of the cross-entropies, in nats, of the pieces `targets` [n] at these places of the batch."""
        states = self._encoder.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        self._given.states = states[rows, columns][None]  # the last layer alone costs as much as a block if run on all
        logits = self._model(input_ids=targets[None], attention_mask=torch.ones_like(targets[None])).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), targets, reduction="sum")


def load_head(layout: ModelLayout) -> Any:
    """Return the masked language model of a folder; raises ModelError where the folder has no head for it.

    Code that comes with a model is not run for it. A fresh head would have to learn for a thousand steps before it had
    anything to teach the body.
    """
    folder = layout.weights
    with foreign(ModelError, f"{folder}: has no masked-LM head, which `mlm_steps` needs"), QuietTransformers():
        model, report = transformers.AutoModelForMaskedLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    body = f"{model.base_model_prefix}."
    missing = [key for key in report["missing_keys"] if not key.startswith(body) and key.split(".")[-1] != "bias"]
    if missing := [key for key in missing if not any(part in key for part in _HEADLESS)]:
        raise ModelError(
            f"{folder}: has no masked-LM head, which `mlm_steps` needs ({sorted(missing)[0]} is missing); give "
            "`mlm_steps=0`, or a masked language model as the base"
        )
    return model


def check_masked(base: Base, recipe: Recipe) -> None:
    """Raise ConfigError or ModelError where the recipe asks for masked-LM steps that this base cannot have."""
    if not recipe.mlm_steps:
        return
    if base.module is not None:
        raise ConfigError(f"mlm_steps {recipe.mlm_steps}: must be 0 for a module of your own")
    if recipe.lora:
        raise ConfigError(f"mlm_steps {recipe.mlm_steps}: trains all weights, so it goes without `lora={recipe.lora}`")
    load_head(base.layout)


def warm_up(
    encoder: SentenceEncoder,
    corpus: Corpus,
    recipe: Recipe,
    *,
    seed: int,
    dtype: torch.dtype,
    ranks: Ranks,
    resumed: bool = False,
) -> list[float]:
    """Train the body of `encoder` in place for `recipe.mlm_steps` steps and return the loss of each, in nats a piece.

    A step is of `batch_size` strings, cut to `max_length` tokens; of documents that are trained on by crops, a crop of
    each. Random numbers are drawn from the seed alone. A run that is `resumed` has the weights of after these steps in
    its checkpoint, and none are made. Raises ModelError for a base without a head, TrainingError
    for a loss that is NaN or infinity.
    """
    if not recipe.mlm_steps or resumed:
        return []
    if isinstance(encoder, ModuleEncoder) or encoder.origin is None:
        raise ConfigError(f"mlm_steps {recipe.mlm_steps}: must be 0 for a module of your own")
    if encoder.tokenizer.mask_token_id is None:
        raise ConfigError(f"mlm_steps {recipe.mlm_steps}: must be 0, since this tokenizer has no mask token")
    head = Head(load_head(encoder.origin.layout), encoder)
    weights = head.weights()
    optimizer = torch.optim.AdamW(weights, lr=recipe.mlm_rate, weight_decay=recipe.weight_decay)
    rng = np.random.default_rng([seed, 4])
    plan = Recipe(warmup=_WARMUP, decay=True)
    losses = []
    with torch.random.fork_rng(devices=[encoder.device] if encoder.device.type == "cuda" else []):
        torch.manual_seed(seed + ranks.rank)
        for step in range(recipe.mlm_steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.mlm_rate * rate_factor(step, recipe.mlm_steps, plan)
            losses.append(_step(head, encoder, _drawn(corpus, recipe, rng), recipe, rng, dtype, ranks))
            ranks.sum_gradients(weights)
            nn.utils.clip_grad_norm_(weights, _LONGEST_STEP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    log.info("masked-LM steps: %d, loss %.3f to %.3f nats a piece", len(losses), losses[0], losses[-1])
    return losses


def _drawn(corpus: Corpus, recipe: Recipe, rng: np.random.Generator) -> list[str]:
    count = min(recipe.batch_size, len(corpus))
    texts = [corpus.texts[i] for i in np.sort(rng.choice(len(corpus), count, replace=False)).tolist()]
    if recipe.views is not Views.CROP:
        return texts
    draws = rng.random((count, 5)).tolist()
    cut = [two_crops(text, *recipe.crop_range, draw) for text, draw in zip(texts, draws, strict=True)]
    return [text if found is None else found[0] for text, found in zip(texts, cut, strict=True)]


def _step(
    head: Head,
    encoder: SentenceEncoder,
    texts: list[str],
    recipe: Recipe,
    rng: np.random.Generator,
    dtype: torch.dtype,
    ranks: Ranks,
) -> float:
    """Add the gradient of this process's share of a batch to the weights' own; return its share of the loss."""
    ids = encoder.tokenize(texts, recipe.max_length)
    chosen, shown = hide(ids, encoder.tokenizer, rng)
    count = max(1, int(chosen.sum()))
    own = ranks.share(np.arange(len(ids)))
    starts = np.concatenate([[0], np.cumsum(ids.lengths)])
    total = 0.0
    device = encoder.device
    for batch in token_budget_batches(ids.lengths[own], _PASS):
        rows = own[batch]
        tokens, mask = encoder.batch(ids, rows)
        places = [np.flatnonzero(chosen[starts[row] : starts[row + 1]]) for row in rows.tolist()]
        row, column = np.repeat(np.arange(len(rows)), list(map(len, places))), np.concatenate(places)
        if not len(row):
            continue
        targets = tokens[row, column]
        tokens[row, column] = shown[starts[rows[row]] + column]
        arrays = (torch.from_numpy(array).to(device) for array in (tokens, mask, row, column, targets))
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            loss = head.loss(*arrays) / count
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    if not np.isfinite(total):
        raise TrainingError("the loss of the masked-LM steps is no longer a number; lower `mlm_rate`")
    return total


def hide(ids: RaggedIds, tokenizer: Any, rng: np.random.Generator) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Return which of all pieces, one text after the other, are to be told, and what stands there instead of each."""
    every = np.concatenate([ids[i] for i in range(len(ids))]).astype(np.int64)
    special = np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)
    chosen = (rng.random(len(every)) < SHARE) & ~np.isin(every, special)
    fate = rng.random(len(every))
    others = np.setdiff1d(np.arange(len(tokenizer), dtype=np.int64), special)
    shown = np.where(fate < _HIDDEN, tokenizer.mask_token_id, every)
    shown = np.where(fate >= 1 - _SWAPPED, rng.choice(others, len(every)), shown)
    return chosen, np.where(chosen, shown, every)
