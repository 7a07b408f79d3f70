"""Files of a Debian package that need not be installed."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from mirrorkit.errors import ConfigError


@cache
def unpacked(package: str) -> Path:
    """Download a package with apt-get into a temporary folder and return where it is unpacked."""
    home = Path(tempfile.mkdtemp(prefix=f"{package}-"))
    try:
        subprocess.run(["apt-get", "download", package], cwd=home, check=True, capture_output=True)
        (archive,) = home.glob("*.deb")
        subprocess.run(["dpkg", "-x", archive, home], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError, ValueError) as err:
        reason = getattr(err, "stderr", b"") or str(err).encode()
        told = " ".join(reason.decode(errors="replace").split())
        raise ConfigError(
            f"the Debian package {package} cannot be fetched ({told}); is apt-get there, and up to date?"
        ) from err
    return home
