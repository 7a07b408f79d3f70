"""A recipe without any noise has nothing to learn from: refused, unless it is asked for."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import finetune
from mirrorkit.errors import ConfigError
from mirrorkit.formats.layout_writer import write_layout
from mirrorkit.formats.model_folder import DropoutLayer, ModelLayout, NormalizeLayer, PoolingLayer
from mirrorkit.formats.pooling import Pooling

LONG = ["A man is playing a guitar on a stage.", "The stock market fell sharply on Monday.", "It rains in the hills."]
QUIET: dict[str, Any] = {"dropout": 0.0, "span_mask": 0, "shuffle": 0.0, "steps": 1, "device": "cpu"}
QUIET |= {"autocast": "fp32"}


def test_equal_views_are_refused_with_the_parameters_that_make_them_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`dropout=0`, `drophead=0` and `span_mask=0` .* `allow_equal_views=True`"):
        finetune("tiny", LONG, tmp_path / "out", **QUIET)
    with pytest.raises(ConfigError, match=r"`drophead=0` and strings shorter than `mask_from=99` make"):
        finetune("tiny", LONG, tmp_path / "out", **QUIET | {"span_mask": 5, "mask_from": 99})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "noise",
    [
        {"allow_equal_views": True},
        {"dropout": 0.1},
        {"drophead": 0.1},
        {"span_mask": 5},
        {"shuffle": 1.0},
        {"views": "crop", "crop": "5,25"},
        {"views": "adjacent"},
    ],
)
def test_any_noise_will_do(noise: dict[str, Any]) -> None:
    assert finetune("tiny", LONG, **QUIET | noise).stats.steps == 1


def test_known_pairs_differ_by_themselves() -> None:
    assert finetune("tiny", list(itertools.pairwise(LONG)), pairs=True, **QUIET).stats.steps == 1


def test_a_mask_that_hides_chinese_pieces_is_noise() -> None:
    texts = ["今天的天气非常好，我们去公园散步。", "股票市场星期一大幅下跌了很多。"]
    assert finetune("tiny", texts, **QUIET | {"span_mask": 5, "recipe": "auto-sentences"}).stats.steps == 1


def test_dropout_behind_pooling_is_noise(tiny_random: Callable[[str], Path], tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_random("bert"), base)
    chain = (PoolingLayer((Pooling.MEAN,)), DropoutLayer(0.1), NormalizeLayer())
    write_layout(base, ModelLayout(base, chain), width=32, max_length=64)
    assert finetune(base, LONG, **QUIET).stats.steps == 1
