"""Load the transformer body and its tokenizer, refusing what cannot be an encoder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, MirrorkitError, ModelError
from mirrorkit.extras import require
from mirrorkit.layout import Layout, read_layout

require("torch", extra="train")
import torch

require("transformers", extra="train")
import transformers

log = logging.getLogger(__name__)

DropoutFields = dict[str, float]  # config field -> the value stored in the folder

# Poolers and task heads are not used, so weights missing from the file for them change nothing.
_UNUSED_WEIGHTS = ("pooler.", "classifier.", "lm_head.", "cls.")


def load_backbone(folder: Path, dropout: float | None) -> tuple[Any, DropoutFields]:
    """Return the body in fp32 and evaluation mode, and the dropout fields that `dropout` replaced."""
    config = _load_config(folder)
    stored = _replace_dropout(config, dropout) if dropout is not None else {}
    if not any(folder.glob("*.safetensors")):
        pickled = [p.name for p in folder.glob("pytorch_model*.bin")]
        hint = f"only {pickled[0]}, which is pickled and never loaded; convert it to safetensors" if pickled else "none"
        raise ModelError(f"{folder}: no safetensors weights ({hint})")
    options = {"add_pooling_layer": False} if _has_pooler(config) else {}
    try:
        with QuietTransformers():
            model, report = transformers.AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except Exception as err:  # transformers, safetensors and torch each raise types of their own here
        raise ModelError(f"{folder}: the weights cannot be loaded ({_first_line(err)})") from err
    missing = sorted(k for k in report["missing_keys"] if not any(part in k for part in _UNUSED_WEIGHTS))
    if missing:
        raise ModelError(f"{folder}: {len(missing)} weights are missing from the file, the first is {missing[0]}")
    if report.get("mismatched_keys"):
        raise ModelError(f"{folder}: config.json and the weights disagree on shapes: {report['mismatched_keys']}")
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise ModelError(f"{folder}: the weights hold NaN or infinity")
    return model.eval(), stored


def load_tokenizer(folder: Path, layout: Layout) -> Any:
    """Return the fast tokenizer; a sentence-transformers folder's own lower-casing becomes part of it."""
    # The files lie beside the weights in some folders and at the top in others.
    home = next((f for f in (layout.weights, folder) if (f / "tokenizer_config.json").is_file()), layout.weights)
    known = ("tokenizer.json", "vocab.txt", "vocab.json")
    if not any((home / name).is_file() for name in known) and not any(home.glob("*.model")):
        raise ModelError(f"{folder}: no tokenizer in it (looked for {', '.join(known)}, *.model)")
    try:
        with QuietTransformers():
            tokenizer = transformers.AutoTokenizer.from_pretrained(home, local_files_only=True, use_fast=True)
    except Exception as err:  # as above
        raise ModelError(f"{folder}: the tokenizer cannot be loaded ({_first_line(err)})") from err
    if not tokenizer.is_fast:
        raise ModelError(f"{folder}: {type(tokenizer).__name__} has no fast version (tokenizer.json)")
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{folder}: the tokenizer has no padding token")
    return _lower_casing(tokenizer) if layout.lower_case else tokenizer


def width_of(folder: Path) -> int:
    """Return the hidden size of the model in `folder` without loading its weights; refuse what is no encoder."""
    return int(_load_config(read_layout(folder).weights).hidden_size)


def positions_of(backbone: Any) -> int:
    """Return how many tokens the position embeddings take; unlimited ones count as 2**20."""
    config = backbone.config
    positions = getattr(config, "max_position_embeddings", None) or 2**20
    if positions <= 0:
        return 2**20
    embeddings = getattr(backbone, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    # RoBERTa and MPNet number positions from padding_idx + 1; their position table says so itself.
    offset = getattr(table, "padding_idx", None)
    return int(positions) - (int(offset) + 1 if offset is not None else 0)


def _load_config(folder: Path) -> Any:
    try:
        with QuietTransformers():
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as err:  # as above
        raise ModelError(f"{folder}: config.json cannot be used ({_first_line(err)})") from err
    from transformers.models.auto import modeling_auto

    kind = config.model_type
    masked = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{folder}: {kind} is an encoder-decoder; mirrorkit needs an encoder (BERT, RoBERTa, ...)")
    if getattr(config, "is_decoder", False) or (not masked and kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        raise ModelError(
            f"{folder}: {kind} is a causal language model; mirrorkit needs an encoder (BERT, RoBERTa, ...)"
        )
    if type(config) not in transformers.models.auto.modeling_auto.MODEL_MAPPING:
        raise ModelError(f"{folder}: transformers {transformers.__version__} has no plain encoder for {kind}")
    return config


def _has_pooler(config: Any) -> bool:
    import inspect

    model_class = transformers.models.auto.modeling_auto.MODEL_MAPPING[type(config)]
    if isinstance(model_class, (list, tuple)):
        model_class = model_class[0]
    return "add_pooling_layer" in inspect.signature(model_class.__init__).parameters


def _replace_dropout(config: Any, p: float) -> DropoutFields:
    """Set every dropout probability of the body; return what was there. Heads and layer dropping are left alone."""
    if not 0 <= p < 1:
        raise ConfigError(f"dropout {p}: must be at least 0 and below 1")
    heads = ("classif", "pooler", "summary", "qa_", "head")
    stored = {
        name: value
        for name, value in config.to_dict().items()
        if "dropout" in name and isinstance(value, (int, float)) and not any(part in name for part in heads)
    }
    if p > 0 and not stored:
        raise ModelError(f"{config.model_type} has no dropout to set; use drophead or a span mask with --dropout 0")
    for name in stored:
        setattr(config, name, p)
    return stored


def _lower_casing(tokenizer: Any) -> Any:
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    existing = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *existing])
    # Saved as what it was, transformers 5 would build it anew by the rules of its class, without the lower-casing.
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    )


class QuietTransformers:
    """Silence the progress bars and advice of transformers: what matters of them becomes an error here."""

    def __enter__(self) -> None:
        self._verbosity = transformers.logging.get_verbosity()
        self._bars = transformers.logging.is_progress_bar_enabled()
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers.logging.set_verbosity(self._verbosity)
        if self._bars:
            transformers.logging.enable_progress_bar()


def _first_line(err: Exception) -> str:
    if isinstance(err, MirrorkitError):
        return str(err)
    text = str(err).strip()
    return text.splitlines()[0] if text else type(err).__name__
