"""Files of a Debian package that need not be installed."""

from __future__ import annotations

import re
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


def newest(package: str) -> str:
    """Return the package that one without a version in its name stands for, as `linux-doc` does for `linux-doc-6.1`."""
    told = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True, check=False).stdout
    found = re.findall(rf"^\s*Depends: ({re.escape(package)}-\S+)", told, re.MULTILINE)
    if not found:
        raise ConfigError(f"the Debian package {package} is not known to apt-cache; run apt-get update")
    return str(found[0])
