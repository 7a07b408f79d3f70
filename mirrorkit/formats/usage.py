"""How texts go into a model and what the vectors that come out are: what every reader of it has to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mirrorkit.errors import ConfigError

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
_ALWAYS = {"query": "", "document": ""}  # prompts that every model has, as in sentence-transformers


@dataclass(frozen=True)
class Usage:
    """Prompts, the side that is cut off, and what can be said of the vectors."""

    prompts: Mapping[str, str] = field(default_factory=dict)  # put before a text, by name
    default_prompt: str | None = None  # name of the prompt of a text that comes without one
    include_prompt: bool = True  # False: a prompt's tokens have a 2 in the mask, and are not pooled
    truncation_side: str = "right"  # where longer text is cut
    normalized: bool = True  # whether vectors have unit length
    similarity: str = "cosine"  # one of SIMILARITIES

    def prompt(self, prompt: str | None = None, name: str | None = None) -> str:
        """Return what to put before a text: `prompt`, else the one called `name`, else the default one.

        Raises ConfigError for a name that there is not.
        """
        if prompt is not None:
            return prompt
        chosen = self.default_prompt if name is None else name
        known = {**_ALWAYS, **self.prompts}
        if chosen is not None and chosen not in known:
            raise ConfigError(f"prompt_name {chosen!r}: the model has {', '.join(self.prompts) or 'none'}")
        return known[chosen] if chosen is not None else ""

    @property
    def plain(self) -> bool:
        """Whether a reader that knows nothing of all this gets the right vectors all the same."""
        as_ever = self.normalized and self.include_prompt and self.truncation_side == "right"
        return as_ever and not self.prompt()

    def as_dict(self) -> dict[str, Any]:
        """Return what a manifest says."""
        return {
            "normalized": self.normalized,
            "similarity": self.similarity,
            "prompts": dict(self.prompts),
            "default_prompt": self.default_prompt,
            "include_prompt": self.include_prompt,
            "truncation_side": self.truncation_side,
        }


def usage_from(raw: Mapping[str, Any]) -> Usage:
    """Return what a manifest says; raises ValueError for what cannot be. What older ones do not say is as it was."""
    prompts, default = raw.get("prompts", {}), raw.get("default_prompt")
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ValueError(f"prompts must be an object of strings, is {prompts!r}")
    if default is not None and default not in {**_ALWAYS, **prompts}:
        raise ValueError(f"default_prompt {default!r} is not one of the prompts")
    for key in ("normalized", "include_prompt"):
        if not isinstance(raw.get(key, True), bool):
            raise ValueError(f"{key} must be true or false, is {raw[key]!r}")
    for key, choices in (("similarity", SIMILARITIES), ("truncation_side", ("right", "left"))):
        if raw.get(key, choices[0]) not in choices:
            raise ValueError(f"{key} must be one of {', '.join(choices)}, is {raw[key]!r}")
    return Usage(
        prompts,
        default,
        raw.get("include_prompt", True),
        raw.get("truncation_side", "right"),
        raw["normalized"],
        raw.get("similarity", SIMILARITIES[0]),
    )
