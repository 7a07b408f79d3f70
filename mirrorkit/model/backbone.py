"""Load the transformer body and its tokenizer, refusing what cannot be an encoder, and write the tokenizer back."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, ModelError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign, without_panic_messages
from mirrorkit.formats.json_file import read_json
from mirrorkit.formats.model_folder import ModelLayout, first_position
from mirrorkit.text.tokenizer import lower_cased

require("torch", extra="train")
import torch

require("transformers", extra="train")
import transformers

log = logging.getLogger(__name__)

DropoutFields = dict[str, float]  # config field -> the value stored in the folder

# Poolers and task heads are not used, so weights missing from the file for them change nothing.
_UNUSED_WEIGHTS = ("pooler.", "classifier.", "lm_head.", "cls.")
_ENDLESS = 1 << 19  # tokens; the length of a model that has no limit at all
_POSITIONS = re.compile(r"(position|\bwpe\b)(?!.*bias)")


def load_backbone(
    layout: ModelLayout, dropout: float | None, *, trust_remote_code: bool = False
) -> tuple[Any, DropoutFields]:
    """Return the body in fp32 and evaluation mode, and the dropout fields that `dropout` replaced."""
    folder = layout.weights
    config = load_config(layout, trust_remote_code=trust_remote_code)
    stored = _replace_dropout(config, dropout) if dropout is not None else {}
    if not any(folder.glob("*.safetensors")):
        pickled = [p.name for p in folder.glob("pytorch_model*.bin")]
        hint = f"only {pickled[0]}, which is pickled and never loaded; convert it to safetensors" if pickled else "none"
        raise ModelError(f"{folder}: no safetensors weights ({hint})")
    options = {"add_pooling_layer": False} if _has_pooler(config) else {}
    with foreign(ModelError, f"{folder}: the weights cannot be loaded"), QuietTransformers():
        model, report = transformers.AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=trust_remote_code,
            **options,
        )
    missing = sorted(k for k in report["missing_keys"] if not any(part in k for part in _UNUSED_WEIGHTS))
    if missing:
        raise ModelError(f"{folder}: {len(missing)} weights are missing from the file, the first is {missing[0]}")
    if report.get("mismatched_keys"):
        raise ModelError(f"{folder}: config.json and the weights disagree on shapes: {report['mismatched_keys']}")
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise ModelError(f"{folder}: the weights hold NaN or infinity")
    return model.eval(), stored


def load_tokenizer(folder: Path, layout: ModelLayout, *, trust_remote_code: bool = False) -> Any:
    """Return the fast tokenizer; a sentence-transformers folder's own lower-casing becomes part of it."""
    # The files lie beside the weights in some folders and at the top in others.
    home = next((f for f in (layout.weights, folder) if (f / "tokenizer_config.json").is_file()), layout.weights)
    known = ("tokenizer.json", "vocab.txt", "vocab.json")
    if not any((home / name).is_file() for name in known) and not any(home.glob("*.model")):
        raise ModelError(f"{folder}: no tokenizer in it (looked for {', '.join(known)}, *.model)")
    pieces = next(iter(sorted(home.glob("*.model"))), None)
    if pieces is not None and not any((home / name).is_file() for name in known) and find_spec("sentencepiece") is None:
        raise ModelError(
            f"{folder}: its only tokenizer is {pieces.name}, which sentencepiece has to read; "
            "run: pip install sentencepiece"
        )
    options = {**layout.tokenizer_args, "local_files_only": True, "use_fast": True}
    options["trust_remote_code"] = trust_remote_code  # said, so that it is not asked
    failed = foreign(ModelError, f"{folder}: the tokenizer cannot be loaded")
    with failed, QuietTransformers(), without_panic_messages():
        tokenizer = transformers.AutoTokenizer.from_pretrained(home, **options)
        if tokenizer.is_fast:
            tokenizer.backend_tokenizer.encode_batch_fast(["", "A text, of 2 words: étude 漢字."])
    if not tokenizer.is_fast:
        raise ModelError(f"{folder}: {type(tokenizer).__name__} has no fast version (tokenizer.json)")
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{folder}: the tokenizer has no padding token")
    return _lower_casing(tokenizer) if layout.lower_case else tokenizer


def save_tokenizer(tokenizer: Any, folder: Path, max_length: int) -> None:
    """Write the tokenizer, with `max_length` as its limit, so that any release of transformers reads it."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # length belongs to the reader of the folder, not to tokenizer.json
    backend.no_padding()
    tokenizer.model_max_length = max_length
    with foreign(OutputError, "the tokenizer cannot be written"):
        tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    config = read_json(file)
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4 knows as well
    for local in ("is_local", "local_files_only", "name_or_path"):  # private: where this machine had it
        config.pop(local, None)
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    special = {k: str(v) for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}
    if not special:
        raise ModelError("the tokenizer names no special tokens")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")


def width_of(layout: ModelLayout, *, trust_remote_code: bool = False) -> int:
    """Return the hidden size of a model without loading its weights; refuse anything but an encoder."""
    if layout.static:
        raise ModelError(f"{layout.weights}: is a table of token vectors; there is no transformer in it to fine-tune")
    return int(load_config(layout, trust_remote_code=trust_remote_code).hidden_size)


def positions_of(backbone: Any) -> int:
    """Return how many tokens the position embeddings take; unlimited ones count as 2**20."""
    config = backbone.config
    positions = getattr(config, "max_position_embeddings", None) or 2**20
    if positions <= 0:
        return 2**20
    return int(positions) - first_position(config.model_type, getattr(config, "pad_token_id", None) or 0)


def has_position_table(backbone: Any) -> bool:
    """Return whether the body looks positions up in a table, so that it cannot take more than there are rows."""
    named = (name for name, p in backbone.named_parameters() if p.dim() == 2 and _POSITIONS.search(name))
    return next(named, None) is not None


def own_length(layout: ModelLayout, tokenizer: Any, backbone: Any) -> int:
    """Return the length that sentence-transformers cuts at: what the folder says, else the tokenizer and positions.

    Where it would go past the table of positions, and fail there, the table's length is taken.
    """
    limits = [_ENDLESS]
    if layout.max_length is not None:
        limits.append(layout.max_length)
    else:
        limits += [int(tokenizer.model_max_length), positions_of(backbone)]
    if has_position_table(backbone):
        limits.append(positions_of(backbone))
    return min(limits)


def load_config(layout: ModelLayout, *, trust_remote_code: bool = False) -> Any:
    """Return the configuration, the layout's own values in it; refuse what is no encoder."""
    folder = layout.weights
    with foreign(ModelError, f"{folder}: config.json cannot be used"), QuietTransformers():
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code, **layout.config_args
        )
    for name, value in layout.config_args.items():
        if not hasattr(config, name):
            raise ModelError(f"{folder}: config_args: {name} {value!r} is not a setting of {config.model_type}")
    _refuse_kind(folder, config, named=layout.named)
    return config


def _refuse_kind(folder: Path, config: Any, *, named: bool) -> None:
    """Raise ModelError for what is no encoder; a decoder is one where its folder says how to pool it."""
    from transformers.models.auto import modeling_auto

    kind = config.model_type
    masked = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{folder}: {kind} is an encoder-decoder; mirrorkit needs an encoder (BERT, RoBERTa, ...)")
    causal = not masked and kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if getattr(config, "is_decoder", False) or (causal and not named):
        raise ModelError(
            f"{folder}: {kind} is a causal language model; mirrorkit needs an encoder (BERT, RoBERTa, ...)"
        )
    own_code = "AutoModel" in (getattr(config, "auto_map", None) or {})  # let through by trust_remote_code alone
    if type(config) not in modeling_auto.MODEL_MAPPING and not own_code:
        raise ModelError(f"{folder}: transformers {transformers.__version__} has no plain encoder for {kind}")
    if kind == "xmod" and getattr(config, "default_language", None) is None:
        languages = ", ".join(map(str, getattr(config, "languages", None) or ()))
        raise ModelError(
            f"{folder / 'config.json'}: default_language is not set, and without it an X-MOD cannot tell which of its "
            f"languages a text is in; set it to one of {languages}"
        )
    if causal:
        config.use_cache = False  # of keys and values, which nothing here reads again


def _has_pooler(config: Any) -> bool:
    import inspect

    mapping = transformers.models.auto.modeling_auto.MODEL_MAPPING
    if type(config) not in mapping:  # code of the model's own
        return False
    model_class = mapping[type(config)]
    if isinstance(model_class, (list, tuple)):
        model_class = model_class[0]
    return "add_pooling_layer" in inspect.signature(model_class.__init__).parameters


def settings_of_text(config: Any) -> Any:
    """Return the part of a configuration that is of text; it is all of it but where a model sees pictures as well."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _replace_dropout(config: Any, p: float) -> DropoutFields:
    """Set every dropout probability of the body; return what was there. Heads and layer dropping are left alone."""
    if not 0 <= p < 1:
        raise ConfigError(f"dropout {p}: must be at least 0 and below 1")
    config = settings_of_text(config)
    heads = ("classif", "pooler", "summary", "qa_", "head")
    stored = {
        name: value
        for name, value in config.to_dict().items()
        if "dropout" in name and type(value) in (int, float) and not any(part in name for part in heads)
    }  # not a bool: ESM's token_dropout is a switch
    if p > 0 and not stored:
        raise ModelError(f"{config.model_type} has no dropout to set; use `drophead` or `span_mask` with `dropout=0`")
    for name in stored:
        setattr(config, name, p)
    return stored


def _lower_casing(tokenizer: Any) -> Any:
    backend = tokenizer.backend_tokenizer
    lower_cased(backend)
    # Saved as what it was, transformers 5 would rebuild it by the rules of its class, without the lower-casing.
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        truncation_side=tokenizer.truncation_side,
        padding_side=tokenizer.padding_side,
        **tokenizer.special_tokens_map,
    )


class QuietTransformers:
    """Silence the progress bars and advice of transformers: what matters in them becomes an error here.

    Nor can it ask anything meanwhile: standard input may be the corpus, whose first line would be taken for the answer.
    """

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        self._stdin = sys.stdin
        sys.stdin = io.StringIO()
        self._verbosity = transformers.logging.get_verbosity()
        self._bars = transformers.logging.is_progress_bar_enabled()
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        sys.stdin = self._stdin
        self._warnings.__exit__(None, None, None)
        transformers.logging.set_verbosity(self._verbosity)
        if self._bars:
            transformers.logging.enable_progress_bar()
