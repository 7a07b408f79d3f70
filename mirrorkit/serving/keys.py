"""Who may ask: API keys, from a file or the environment. Only their hashes are kept, and nothing says them again."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.paths import local_path, size_of
from mirrorkit.serving.settings import KEY_VARIABLE, Settings

SHORTEST = 16  # characters of a key
_LARGEST_FILE = 1 << 20  # bytes


class Keys:
    """The keys that are good, as hashes of one length."""

    def __init__(self, keys: list[str]) -> None:
        self._hashes = [_hashed(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def owner(self, authorization: str | None) -> str | None:
        """Return which key `Bearer …` holds, as a name for it that tells nothing of the key; None for none of them.

        It takes as long for a wrong key as for a right one.
        """
        scheme, _, key = (authorization or "").partition(" ")
        given = _hashed(key.strip())
        found = None
        for place, one in enumerate(self._hashes):
            if hmac.compare_digest(one, given):
                found = place
        return f"key {found}" if found is not None and scheme.lower() == "bearer" else None


def read_keys(settings: Settings) -> Keys:
    """Return the keys of the file and of the environment; raises ConfigError without naming one."""
    keys = _from_file(local_path(settings.key_file)) if settings.key_file is not None else []
    named = os.environ.get(KEY_VARIABLE)
    if named is not None:
        keys.append(_checked(named.strip(), KEY_VARIABLE))
    return Keys(keys)


def _from_file(file: Path) -> list[str]:
    try:
        if size_of(file) > _LARGEST_FILE:
            raise ConfigError(f"{file}: is too large for a file of keys; put one key on a line")
        mode = stat.S_IMODE(file.stat().st_mode)
        if os.name == "posix" and mode & stat.S_IRWXO:
            raise ConfigError(f"{file}: everybody on this machine can read it (mode {mode:o}); run: chmod 600 {file}")
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as err:
        raise ConfigError(f"{file}: cannot be read ({err.strerror or err})") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{file}: is not UTF-8 text; put one key on a line") from err
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise ConfigError(f"{file}: holds no key; put one on a line, of {SHORTEST} characters at least")
    return [_checked(key, f"{file}, key {place}") for place, key in enumerate(keys, 1)]


def _checked(key: str, where: str) -> str:
    if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{where}: must have {SHORTEST} characters or more, ASCII and without blanks")
    return key


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
