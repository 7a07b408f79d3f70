"""What a server is told: names, limits, keys, and where it may listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.serving.keys import read_keys
from mirrorkit.serving.run import check_reach, listen
from mirrorkit.serving.settings import KEY_VARIABLE, Limits, Named, Settings, named_bundles

KEY = "a-key-of-16-chars"


def settings(**options: object) -> Settings:
    return Settings((Named("one", "bundle"),), **options)  # type: ignore[arg-type]


def key_file(folder: Path, text: str = f"# for tests\n\n{KEY}\nanother-key-12345\n", mode: int = 0o600) -> Path:
    file = folder / "keys"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def test_a_bundle_is_called_by_its_folder_or_as_one_likes(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "a=b").mkdir()
    found = named_bundles([str(tmp_path / "mine"), f"other={tmp_path / 'mine'}", "owner/name"])
    assert [one.name for one in found] == ["mine", "other", "owner/name"]
    assert found[1].folder == str(tmp_path / "mine")
    (tmp_path / "file.json").touch()
    others = named_bundles([str(tmp_path / "file.json"), "./none/", "../neither"])
    assert [one.name for one in others] == [
        "file.json",
        "none",
        "neither",
    ]  # said to be no bundles when they are opened
    with pytest.raises(ConfigError, match="'a=b' cannot be the name"):
        named_bundles([str(tmp_path / "a=b")])  # a folder, not a name for b


@pytest.mark.parametrize("given", ["=x", "a b=x", "int8:x=y", "-a=x", "a/=x", f"{'n' * 200}=x", "ä=x", "a\n=x"])
def test_what_cannot_be_a_name_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a model"):
        named_bundles([given])


def test_two_bundles_of_one_name_are_refused(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place / "same").mkdir(parents=True)
    with pytest.raises(ConfigError, match="two bundles are called same"):
        named_bundles([str(tmp_path / "a" / "same"), str(tmp_path / "b" / "same")])
    with pytest.raises(ConfigError, match="no bundle"):
        named_bundles([])


@pytest.mark.parametrize("name", ["max_body_mb", "max_texts", "request_timeout", "max_connections"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_a_number_above_0(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"^{name} "):
        Limits(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("port", -1), ("port", 65536), ("workers", 0), ("threads", 0)])
def test_numbers_that_cannot_be_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"^{name} {value}: must be"):
        settings(**{name: value})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "", "example.org", "127.0.0.1.example.org"])
def test_others_need_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match=r"without a key; give `key_file` or MIRRORKIT_API_KEY"):
        check_reach(settings(host=host), has_keys=False)
    check_reach(settings(host=host), has_keys=True)
    check_reach(settings(host=host, without_key=True), has_keys=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    check_reach(settings(host=host), has_keys=False)


def test_keys_come_from_a_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "of-the-environment")
    keys = read_keys(settings(key_file=str(key_file(tmp_path))))
    owners = {keys.owner(f"Bearer {key}") for key in (KEY, "another-key-12345", "of-the-environment")}
    assert owners == {"key 0", "key 1", "key 2"}
    assert keys.owner(f"bearer  {KEY}") == "key 0"  # as HTTP has it
    for wrong in (
        None,
        "",
        KEY,
        f"Basic {KEY}",
        f"Bearer {KEY}x",
        "Bearer",
        "Bearer ",
        f"Bearer {KEY} x",
        "Bearer \ud800",
    ):
        assert keys.owner(wrong) is None
    assert KEY not in repr(vars(keys))
    assert not read_keys_without(monkeypatch)


def read_keys_without(monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.delenv(KEY_VARIABLE)
    return bool(read_keys(settings()))


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("", 0o600, "holds no key"),
        ("# nothing\n\n", 0o600, "holds no key"),
        ("short\n", 0o600, "must have 16 characters"),
        ("has blanks in it, many\n", 0o600, "without blanks"),
        (f"{KEY}\u00e4\n", 0o600, "ASCII"),
        (f"{KEY}\n", 0o644, "everybody on this machine can read it"),
        (f"{KEY}\n", 0o602, "everybody on this machine can read it"),
        ("k" * 2_000_000, 0o600, "too large"),
    ],
)
def test_a_bad_file_of_keys_is_refused_and_no_key_is_told(tmp_path: Path, text: str, mode: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        read_keys(settings(key_file=str(key_file(tmp_path, text, mode))))
    assert not text.strip() or text.strip().splitlines()[0][:60] not in str(raised.value).replace("# nothing", "")


def test_what_is_no_file_of_keys_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "binary").chmod(0o600)
    for name, message in (("pipe", "not a file"), ("none", "No such file"), (".", "not a file"), ("binary", "UTF-8")):
        with pytest.raises(ConfigError, match=message):
            read_keys(settings(key_file=str(tmp_path / name)))
    monkeypatch.setenv(KEY_VARIABLE, "")
    with pytest.raises(ConfigError, match=f"{KEY_VARIABLE}: must have 16"):  # meant to be set, and is not
        read_keys(settings())


def test_a_port_in_use_and_an_address_that_is_not_here_are_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="cannot be listened on"):
        listen(settings(port=taken.getsockname()[1]))
    with pytest.raises(ConfigError, match="cannot be listened on"):
        listen(settings(host="192.0.2.1", port=0))
    with pytest.raises(ConfigError, match="no such address"):
        listen(settings(host="no such host", port=0))
