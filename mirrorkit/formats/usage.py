"""How texts go into a model and what the vectors that come out are: what every reader of it has to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.formats import fields

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

        Raises ConfigError for an unknown name.
        """
        if prompt is not None:
            return prompt
        chosen = self.default_prompt if name is None else name
        known = {**_ALWAYS, **self.prompts}
        if chosen is not None and chosen not in known:
            raise ConfigError(f"prompt_name {chosen!r}: the model has {', '.join(self.prompts) or 'none'}")
        return known[chosen] if chosen is not None else ""

    def document_prompt(self) -> str:
        """Return what to put before a text that is searched: models call that prompt document, passage or corpus."""
        return next((self.prompts[name] for name in ("document", "passage", "corpus") if self.prompts.get(name)), "")

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
    prompts = fields.entries(raw, "prompts") if "prompts" in raw else {}
    for name, text in prompts.items():
        fields.as_text(name, "name of a prompt", fields.LONGEST_PATH)
        if not isinstance(text, str) or len(text) > fields.LONGEST_TEXT:  # it may have lines
            raise ValueError(f"prompts must be an object of strings, is {fields.shown(prompts)}")
    default = raw.get("default_prompt")
    if default is not None and (not isinstance(default, str) or default not in {**_ALWAYS, **prompts}):
        raise ValueError(f"default_prompt {fields.shown(default)} is not one of the prompts")
    return Usage(
        prompts,
        default,
        fields.flag(raw, "include_prompt", True),
        fields.choice(raw, "truncation_side", ("right", "left"), "right"),
        fields.flag(raw, "normalized"),
        fields.choice(raw, "similarity", SIMILARITIES, SIMILARITIES[0]),
    )
