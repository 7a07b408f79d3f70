"""A model folder as data: what stands around the weights and decides the vectors. No torch here.

`layout_reader` reads it as sentence-transformers does, `layout_writer` writes it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mirrorkit.formats.pooling import Pooling, pooling_name

# The booleans of the legacy schema, in the order in which several are put behind one another.
LEGACY_POOLINGS = {
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_max_tokens": Pooling.MAX,
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_mean_sqrt_len_tokens": Pooling.MEAN_SQRT_LEN,
    "pooling_mode_weightedmean_tokens": Pooling.WEIGHTED_MEAN,
    "pooling_mode_lasttoken": Pooling.LAST,
}
# fmt: off
_AFTER_PADDING = {
    "camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mpnet",
    "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}
# fmt: on


@dataclass(frozen=True)
class PoolingLayer:
    """Token vectors to one vector; the vectors of several poolings stand behind one another."""

    modes: tuple[Pooling, ...]
    include_prompt: bool = True  # False: the tokens of a prompt are attended to and not pooled


@dataclass(frozen=True)
class DenseLayer:
    """A linear layer with an activation; `weights` is the folder of its model.safetensors."""

    weights: Path
    inputs: int
    outputs: int
    bias: bool = True
    activation: str = "torch.nn.modules.activation.Tanh"
    residual: bool = False  # adds the input, projected where the widths differ


@dataclass(frozen=True)
class LayerNormLayer:
    """Layer normalisation of the sentence vector."""

    weights: Path
    width: int


@dataclass(frozen=True)
class DropoutLayer:
    """Dropout of the sentence vector while training."""

    p: float


@dataclass(frozen=True)
class NormalizeLayer:
    """L2 normalisation."""


Layer = PoolingLayer | DenseLayer | LayerNormLayer | DropoutLayer | NormalizeLayer


@dataclass(frozen=True)
class ModelLayout:
    """What the files of a model folder say, defaults of sentence-transformers filled in."""

    weights: Path  # folder of config.json and the weights: the model folder itself or one inside it
    chain: tuple[Layer, ...] = (PoolingLayer((Pooling.MEAN,)), NormalizeLayer())  # behind the transformer
    named: bool = False  # whether the folder itself tells the chain; False: a plain Hugging Face folder
    static: bool = False  # a table of token vectors stands in the transformer's place
    max_length: int | None = None  # tokens, special ones included; None: tokenizer and positions tell
    lower_case: bool = False  # lower-case the text before tokenising
    config_args: Mapping[str, Any] = field(default_factory=dict)  # in place of keys of config.json
    tokenizer_args: Mapping[str, Any] = field(default_factory=dict)  # in place of keys of tokenizer_config.json
    prompts: Mapping[str, str] = field(default_factory=dict)  # put before a text, by name
    default_prompt_name: str | None = None  # the prompt of a text that comes without one
    similarity: str = "cosine"  # one of `usage.SIMILARITIES`
    truncate_dim: int | None = None  # leading components that are kept, after everything else

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        return self._pooling.modes

    @property
    def pooling(self) -> str:
        """Return the name of the pooling, or the names of several joined by +."""
        return pooling_name(self.poolings)

    @property
    def include_prompt(self) -> bool:
        return self._pooling.include_prompt

    @property
    def pools_only(self) -> bool:
        """Return whether pooling and normalisation are all there is, which others can do behind the token vectors."""
        simple = all(isinstance(layer, (PoolingLayer, DropoutLayer, NormalizeLayer)) for layer in self.chain)
        return simple and self.truncate_dim is None

    def pooled_by(self, modes: tuple[Pooling, ...]) -> ModelLayout:
        """Return the layout with other poolings in the place of its own."""
        first = replace(self._pooling, modes=modes)
        return replace(self, chain=(first, *self.chain[1:]))

    @property
    def _pooling(self) -> PoolingLayer:
        first = self.chain[0]
        assert isinstance(first, PoolingLayer)
        return first


def first_position(model_type: object, pad_id: int) -> int:
    """Return the position of a text's first token: RoBERTa and its kin count from `pad_id` + 1 on, others from 0."""
    return pad_id + 1 if model_type in _AFTER_PADDING else 0
