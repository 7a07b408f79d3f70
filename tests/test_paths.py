"""What no path can be is refused in one line, wherever a user may give one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.paths import local_path


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="leaves it to whoever opens the path")
def test_a_loop_of_links_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ConfigError, match=r"a/x/y: cannot be a path \(Symlink loop"):
        local_path(tmp_path / "a" / "x" / "y")


@pytest.mark.parametrize("name", ["a\0b", "~no-such-user-of-this-machine/x"])
def test_a_zero_byte_or_an_unknown_home_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be a path|there is no such user"):
        local_path(name)


def test_a_path_need_not_exist(tmp_path: Path) -> None:
    for name in ("-", "tiny", "owner/name", str(tmp_path / "no" / "such"), "x" * 5000):
        assert local_path(name) == Path(name)
