"""A torch module of the user's own in the place of a transformer: what it has to offer, and the encoder over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from mirrorkit.errors import ConfigError, ModelError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.formats.model_folder import ModelLayout, NormalizeLayer, PoolingLayer
from mirrorkit.formats.pooling import poolings_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.sound import refuse_padding_sensitive
from mirrorkit.text.ragged import RaggedIds

require("torch", extra="train")
import torch
from torch import Tensor, nn

_MEMBERS = ("width", "max_length", "pad_id")
_METHODS = ("tokenize", "forward", "save", "load")
_TRIED = ("a", "one two three four five six seven eight")


class Backbone(Protocol):
    """What a `torch.nn.Module` of your own must offer to stand in the place of a transformer.

    Texts are tokenised by it, padded on the right with `pad_id`, and pooled by mirrorkit. The vectors of a text may not
    depend on the padding beside it. A module with a `mask_token`, text that it tokenises as one id, can be trained with
    a span mask, and `dropout` is that of every `nn.Dropout` and `nn.MultiheadAttention` in it.

    >>> from mirrorkit import Backbone
    >>> [name for name in ("tokenize", "forward", "save", "load") if callable(getattr(Backbone, name))]
    ['tokenize', 'forward', 'save', 'load']
    """

    width: int  # length of a token vector
    max_length: int  # tokens of a text at the most
    pad_id: int  # what fills up a batch

    def tokenize(self, texts: Sequence[str], max_length: int) -> Sequence[Sequence[int]]:
        """Return the ids of each text, special ones included, `max_length` at the most."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return float token vectors [n, tokens, width] for int64 [n, tokens]; the mask is 1 where a token is."""

    def save(self, folder: Path) -> None:
        """Write all that `load` needs into an existing folder; README.md and training.json are written beside it."""

    @classmethod
    def load(cls, folder: Path) -> Backbone:
        """Return the module that `save` wrote."""


class ModuleEncoder(SentenceEncoder):
    """A sentence encoder over a module of your own, see `Backbone`: pooling and unit length on top.

    It encodes, and is trained and saved by `finetune`. What needs the layout of sentence-transformers cannot be done
    with it: `export`, `check` and `SentenceEncoder.load`. Raises ConfigError for a module without what `Backbone`
    asks for, ModelError for one that returns something else or whose vectors change with padding.

    >>> import torch
    >>> from mirrorkit import ModuleEncoder
    >>> from safetensors.torch import load_file, save_file
    >>> class Letters(torch.nn.Embedding):
    ...     width, max_length, pad_id = 8, 64, 0
    ...
    ...     def tokenize(self, texts, max_length):
    ...         return [[1, *text.encode()][:max_length] for text in texts]
    ...
    ...     def forward(self, input_ids, attention_mask):
    ...         return super().forward(input_ids)
    ...
    ...     def save(self, folder):
    ...         save_file({"weight": self.weight.data}, folder / "letters.safetensors")
    ...
    ...     @classmethod
    ...     def load(cls, folder):
    ...         return cls.from_pretrained(load_file(folder / "letters.safetensors")["weight"], freeze=False)
    >>> ModuleEncoder(Letters(256, 8), pooling="max").encode(["A cat.", "A dog."]).shape
    (2, 8)
    """

    def __init__(
        self, module: Backbone, *, pooling: str = "mean", max_length: int | None = None, dropout: float | None = None
    ) -> None:
        own = _checked(module)
        longest = module.max_length
        if max_length is not None and not 1 < max_length <= longest:
            raise ConfigError(f"max_length {max_length}: this module takes 2 to {longest} tokens")
        chain = (PoolingLayer(poolings_of(pooling)), NormalizeLayer())
        with foreign(ModelError, f"{name_of_module(module)}: cannot be run"):
            tokens = _Tokens(module)
            super().__init__(_Body(own, module), tokens, ModelLayout(Path(), chain), max_length or longest)
            self.eval()
            _try(self, module)
            if pooling != "mean-padded":
                refuse_padding_sensitive(tokens, self.backbone, self.chain, self.max_length, name_of_module(module))
        self._stored = _set_dropout(own, dropout)

    @property
    def module(self) -> Any:
        """The module itself."""
        return self.backbone.module

    def tokenize(self, texts: Sequence[str], max_length: int | None = None, *, prompt: str | None = None) -> RaggedIds:
        """Return the ids of each text, cut to `max_length`, not padded; `prompt` is put before each."""
        given = [f"{prompt or ''}{text}" for text in texts]
        return RaggedIds.from_blocks([_ids(self.module, given, max_length or self.max_length)])

    def save(self, folder: Path) -> None:
        """Have the module write itself into an existing or new folder, with the dropout that it came with."""
        folder.mkdir(parents=True, exist_ok=True)
        trained_with = [(part, _dropout_of(part)) for part, _ in self._stored]
        _put(self._stored)
        try:
            with foreign(OutputError, f"{name_of_module(self.module)}: its `save` failed"):
                self.module.save(folder)
        finally:
            _put(trained_with)


def name_of_module(module: object) -> str:
    """Return where the class of a module is to be found."""
    kind = type(module)
    return f"{kind.__module__}.{kind.__qualname__}"


def load_again(module: object, folder: Path, pooling: str, max_length: int) -> ModuleEncoder:
    """Return the encoder over what the class of `module` loads from `folder`."""
    with foreign(ModelError, f"{name_of_module(module)}: its `load` failed"):
        loaded: Any = type(module).load(folder)  # type: ignore[attr-defined]
    return ModuleEncoder(loaded, pooling=pooling, max_length=max_length)


class _Body(nn.Module):
    """A module of the user's as the body of a transformer."""

    def __init__(self, module: nn.Module, about: Backbone) -> None:
        super().__init__()
        self.module = module
        self.config = SimpleNamespace(
            model_type=type(module).__name__, hidden_size=about.width, max_position_embeddings=about.max_length
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(last_hidden_state=self.module(input_ids, attention_mask))


class _Tokens:
    """The tokenizer of a module, as far as anybody asks."""

    truncation_side = padding_side = "right"

    def __init__(self, module: Backbone) -> None:
        self._module = module
        self.pad_token_id = module.pad_id
        self.unk_token_id = None
        self.model_max_length = module.max_length
        framing = _ids(module, [""], module.max_length)[0]
        self.all_special_ids = [*dict.fromkeys([*framing, module.pad_id])]
        self.mask_token: str | None = getattr(module, "mask_token", None)
        self.mask_token_id: int | None = None
        if self.mask_token is not None:
            own = [i for i in _ids(module, [self.mask_token], module.max_length)[0] if i not in self.all_special_ids]
            if len(own) != 1:
                raise ConfigError(f"mask_token {self.mask_token!r}: must be one token, and is {len(own)}")
            self.mask_token_id = own[0]
            self.all_special_ids.append(own[0])

    def __call__(self, text: str, *, truncation: bool, max_length: int) -> dict[str, list[int]]:
        """Return the ids of one text as transformers' tokenizers do."""
        assert truncation
        return {"input_ids": _ids(self._module, [text], max_length)[0]}


def _ids(module: Backbone, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return the ids of the texts; raises ModelError where `tokenize` returns anything else."""
    with foreign(ModelError, f"{name_of_module(module)}: its `tokenize` failed"):
        rows = [[int(i) for i in row] for row in module.tokenize(list(texts), max_length)]
    if len(rows) != len(texts):
        raise ModelError(f"{name_of_module(module)}: its `tokenize` returns {len(rows)} rows for {len(texts)} texts")
    if longest := max((len(row) for row in rows if len(row) > max_length), default=0):
        raise ModelError(
            f"{name_of_module(module)}: its `tokenize` returns {longest} ids where at most {max_length} were asked for"
        )
    return rows


def _checked(module: Any) -> nn.Module:
    """Return the module; raises ConfigError where it does not offer what it should."""
    name = name_of_module(module)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"base {name}: must be the name or folder of a model, or a torch.nn.Module")
    if next(module.parameters(), None) is None:
        raise ConfigError(f"base {name}: must have weights to train")
    for member in _MEMBERS:
        value = getattr(module, member, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ConfigError(f"base {name}: must have a whole number `{member}`, see mirrorkit.Backbone")
    for method in _METHODS:
        if not callable(getattr(module, method, None)):
            raise ConfigError(f"base {name}: must have a method `{method}`, see mirrorkit.Backbone")
    return module


def _try(encoder: ModuleEncoder, module: Backbone) -> None:
    """Raise ModelError where the token vectors of two texts are not what they should be."""
    arrays = encoder.batch(encoder.tokenize(_TRIED), torch.arange(2).numpy())
    with torch.inference_mode():
        found = encoder.backbone(*(torch.from_numpy(array).to(encoder.device) for array in arrays)).last_hidden_state
    wanted = [2, arrays[0].shape[1], module.width]
    shape = list(found.shape) if isinstance(found, Tensor) and found.is_floating_point() else type(found).__name__
    if shape != wanted:
        raise ModelError(f"{name_of_module(module)}: its `forward` must return float {wanted}, and returns {shape}")
    if not bool(torch.isfinite(found).all()):
        raise ModelError(f"{name_of_module(module)}: its `forward` returns NaN or infinity")


def _set_dropout(module: nn.Module, p: float | None) -> list[tuple[Any, float]]:
    """Set the probability of every dropout layer; return each with the one that it had."""
    if p is None:
        return []
    found = [(part, _dropout_of(part)) for part in _droppers(module)]
    if p and not found:
        raise ModelError(
            f"{name_of_module(module)}: has no nn.Dropout to set; use `span_mask` or other `views` with `dropout=0`"
        )
    _put([(part, p) for part, _ in found])
    return found


def _droppers(module: nn.Module) -> Iterator[Any]:
    for part in module.modules():
        if isinstance(part, (nn.modules.dropout._DropoutNd, nn.MultiheadAttention)):
            yield part


def _dropout_of(part: Any) -> float:
    return float(part.dropout if isinstance(part, nn.MultiheadAttention) else part.p)


def _put(values: Sequence[tuple[Any, float]]) -> None:
    for part, p in values:
        if isinstance(part, nn.MultiheadAttention):
            part.dropout = p
        else:
            part.p = p
