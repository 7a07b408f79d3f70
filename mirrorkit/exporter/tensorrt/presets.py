"""The shape profiles to build an engine with: presets, or the user's own, held against the model."""

from __future__ import annotations

from collections.abc import Sequence

from mirrorkit.errors import ConfigError
from mirrorkit.formats.profiles import Profile, Shape

PRESETS = ("latency", "throughput", "mixed")
DEFAULT = "mixed"

# An engine reserves memory for its largest batch: long texts come in smaller ones.
_MOST_TOKENS = 16_384  # of a batch, padding included
_MOST_TEXTS = 512  # of a batch
_SENTENCE = 32  # tokens; most single texts are shorter
_STEPS = (32, 128)  # tokens; up to each, and up to the model's own limit, there is a profile


def profiles_for(given: Sequence[str], max_length: int) -> tuple[Profile, ...]:
    """Return the profiles of presets and shapes such as `min=1x8,opt=32x32,max=256x128`; `mixed` where none is given.

    `max_length` is how many tokens the bundle takes. Raises ConfigError for a profile that goes beyond, that cannot be
    read, or that appears twice.
    """
    profiles: list[Profile] = []
    for text in given or (DEFAULT,):
        own = preset(text.strip(), max_length) if text.strip() in PRESETS else (_one(text, max_length),)
        twice = [profile for profile in own if profile in profiles]
        if twice:
            raise ConfigError(f"profile {twice[0]}: is given twice; every profile takes memory of its own")
        profiles += own
    return tuple(profiles)


def preset(name: str, max_length: int) -> tuple[Profile, ...]:
    """Return the profiles of a preset, which together take texts of up to `max_length` tokens.

    latency takes one text at a time. throughput takes large batches, the larger the shorter the texts. mixed has both.
    """
    one = Profile(Shape(1, 1), Shape(1, min(_SENTENCE, max_length)), Shape(1, max_length))
    lengths = [*(length for length in _STEPS if length < max_length), max_length]
    many = [_up_to(min(_MOST_TEXTS, max(1, _MOST_TOKENS // length)), length) for length in lengths]
    return tuple({"latency": [one], "throughput": many, "mixed": [one, *many]}[name])


def _up_to(batch: int, length: int) -> Profile:
    """Return a profile of all batches up to that size, tuned for half of it either way."""
    return Profile(Shape(1, 1), Shape(max(1, batch // 2), max(1, length // 2)), Shape(batch, length))


def _one(text: str, max_length: int) -> Profile:
    if "=" not in text and "x" not in text:
        raise ConfigError(
            f"profile {text!r}: must be {', '.join(PRESETS)}, or like min=1x8,opt=32x32,max=256x128 (texts x tokens)"
        )
    profile = Profile.parse(text)
    if profile.max.length > max_length:
        raise ConfigError(
            f"profile {profile}: {profile.max.length} tokens are more than the {max_length} that this model takes; "
            f"max must be at most {profile.max.batch}x{max_length}"
        )
    return profile
