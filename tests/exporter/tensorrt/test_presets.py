"""Presets of shape profiles, and the user's own, held against the model."""

from __future__ import annotations

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.exporter.tensorrt.presets import PRESETS, preset, profiles_for
from mirrorkit.formats.profiles import Profile, choose

LENGTHS = [1, 2, 8, 32, 33, 64, 128, 256, 512, 8192]


@pytest.mark.parametrize("max_length", LENGTHS)
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_takes_every_text_that_the_model_does(name: str, max_length: int) -> None:
    profiles = preset(name, max_length)
    assert len(set(profiles)) == len(profiles)
    assert max(profile.max.length for profile in profiles) == max_length
    for batch in (1, 3, 200, 1000):
        for length in {1, max(1, max_length // 2), max_length}:
            assert sum(run.rows for run in choose(profiles, batch, length)) == batch
    assert all(profile.max.tokens <= max(16_384, max_length) for profile in profiles)


def test_presets_are_for_what_their_names_say() -> None:
    (latency,) = preset("latency", 512)
    assert latency.max.batch == 1
    throughput = preset("throughput", 512)
    assert [str(profile.max) for profile in throughput] == ["512x32", "128x128", "32x512"]
    assert preset("mixed", 512) == (latency, *throughput)
    assert choose(preset("mixed", 512), 1, 12)[0].profile == 0
    assert choose(preset("mixed", 512), 300, 20)[0].profile == 1


def test_profiles_of_ones_own_stand_beside_presets() -> None:
    assert profiles_for((), 128) == preset("mixed", 128)
    fixed = Profile.parse("32x128")
    assert profiles_for(["latency", "32x128"], 128) == (*preset("latency", 128), fixed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["min=1x8,opt=1x8,max=4x129"], "129 tokens are more than the 128 that this model takes; max must be .* 4x128"),
        (["min=1x8,opt=1x4,max=4x128"], "min <= opt <= max"),
        (["1x8", "1x8"], "is given twice"),
        (["latency", "mixed"], "is given twice"),
        (["fastest"], "'fastest': must be latency, throughput, mixed, or like"),
        (["8x"], "is not a shape"),
    ],
)
def test_a_profile_that_cannot_be_met_is_named(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profiles_for(given, 128)
