"""What a request asks for, of either kind: which model, which texts, and what the vectors are to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.runtime.encoding import Call
from mirrorkit.serving.fields import optional, texts_or_ids
from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.served import Models, Served, Tokens, shown
from mirrorkit.serving.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """A request for vectors, checked."""

    served: Served
    call: Call
    texts: list[str]
    ids: list[Tokens] | None  # in the place of texts
    truncate: bool
    base64: bool = False
    asked_as: str = ""  # the name that the model was called by


def openai_request(body: Mapping[str, Any], models: Models, settings: Settings) -> Wanted:
    """Read the body of /v1/embeddings. `variant`, `prompt_name`, `prompt` and `truncate` are ours besides."""
    model = optional(body, "model", str)
    if model is None:
        raise RefusedError(Why.MALFORMED, "you must provide a `model` parameter", "model")
    encoding_format = optional(body, "encoding_format", str, "float")
    if encoding_format not in ("float", "base64"):
        raise RefusedError(
            Why.INVALID, f"`encoding_format` must be float or base64, is {shown(encoding_format)}", "encoding_format"
        )
    served = models.find(model, optional(body, "variant", str))
    # The original cuts and brings the rest to unit length again.
    normalize = True if body.get("dimensions") is not None else None
    wanted = _wanted(body, "input", served, normalize, settings)
    return Wanted(served, *wanted, encoding_format == "base64", model)


def tei_request(body: Mapping[str, Any], models: Models, settings: Settings) -> Wanted:
    """Read the body of /embed. `model`, `variant` and `prompt` are ours besides."""
    side = optional(body, "truncation_direction", str, "Right")
    served = models.find(optional(body, "model", str), optional(body, "variant", str))
    own_side = served.encoding.opened.usage.truncation_side
    if side is not None and "truncation_direction" in body and side.lower() != own_side:
        raise RefusedError(
            Why.INVALID, f"`truncation_direction` must be {own_side.title()}, as the model has it, is {shown(side)}"
        )
    return Wanted(served, *_wanted(body, "inputs", served, optional(body, "normalize", bool, True), settings))


def _wanted(
    body: Mapping[str, Any], name: str, served: Served, normalize: bool | None, settings: Settings
) -> tuple[Call, list[str], list[Tokens] | None, bool]:
    texts, ids = texts_or_ids(body, name, settings.limits)
    dimensions = optional(body, "dimensions", int)
    if dimensions is not None and not 1 <= dimensions <= served.encoding.dim:
        raise RefusedError(
            Why.INVALID,
            f"`dimensions` must be from 1 to {served.encoding.dim} for this model, is {dimensions}",
            "dimensions",
        )
    prompt, prompt_name = optional(body, "prompt", str), optional(body, "prompt_name", str)
    if prompt is not None and len(prompt) > settings.limits.max_chars:
        raise RefusedError(Why.TOO_LONG, f"`prompt` has more than {settings.limits.max_chars:,} characters", "prompt")
    if ids is not None and (prompt is not None or prompt_name is not None):
        raise RefusedError(Why.INVALID, "a prompt is for texts; token ids hold it already", "prompt_name")
    try:
        call = served.call(
            prompt="" if ids is not None else prompt,
            prompt_name=prompt_name,
            normalize=normalize,
            truncate_dim=dimensions,
        )
    except ConfigError as err:
        raise RefusedError(Why.INVALID, str(err)) from err
    truncate = optional(body, "truncate", bool, settings.truncate)
    if ids is not None:
        _check_ids(ids, served, name)
    return call, texts, ids, bool(truncate)


def _check_ids(ids: list[Tokens], served: Served, name: str) -> None:
    """Raise RefusedError for what is no input of this model. Of ids nothing is cut: they may end with a special one."""
    for place, one in enumerate(ids):
        if len(one) > served.max_length:
            raise RefusedError(
                Why.TOO_LONG,
                f"This model's maximum context length is {served.max_length} tokens, and "
                f"`{name}[{place}]` has {len(one):,}",
                name,
            )
    if not served.knows(np.concatenate(ids)):
        raise RefusedError(
            Why.INVALID,
            f"`{name}` has token ids that this model does not have; ids must come from its own tokenizer, "
            "special tokens included, as /tokenize gives them (langchain-openai sends those of another model "
            "unless it is told check_embedding_ctx_length=False)",
            name,
        )
