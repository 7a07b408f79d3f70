"""Compiled graphs that are kept in the user's cache folder, so that the next process opens them sooner.

A file holds its own SHA-256 and then what OpenVINO wrote. Its name tells the content of the graph, the release of
OpenVINO, the device and the precision apart. OpenVINO's own cache would be one setting, but it takes what lies there
for what it wrote, damaged or not.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mirrorkit.errors import BundleError, MirrorkitError
from mirrorkit.formats.files import sha256_of
from mirrorkit.publish import publish_file
from mirrorkit.runtime.cache import default_cache, make_private
from mirrorkit.runtime.openvino import library
from mirrorkit.runtime.openvino.precision import Precision

log = logging.getLogger(__name__)
T = TypeVar("T")
_DIGEST = 32  # bytes of a SHA-256


def place_for(files: Sequence[Path], device: str, precision: Precision) -> Path:
    """Return the file that holds the compiled graph of these files, or will."""
    told = [library.version(), device, library.describe(device), str(precision), *map(sha256_of, files)]
    return default_cache("openvino") / (hashlib.sha256("\n".join(told).encode()).hexdigest()[:32] + ".blob")


def opened(
    kept: Path, compiled: Callable[[], T], reopened: Callable[[bytes], T], export: Callable[[T], bytes | None]
) -> T:
    """Return the graph that is kept, `reopened`; else `compiled`, and from then on kept as `export` gives it.

    A folder that cannot be used, or a file that is damaged, costs time and nothing else: it is said, and the graph is
    compiled anew.
    """
    blob = _read(kept)
    if blob is not None:
        try:
            return reopened(blob)
        except BundleError as err:
            log.warning("%s: compiled anew; %s", kept, err)
    made = compiled()
    whole = export(made)
    if whole is not None:
        try:
            make_private(kept.parent, "compiled graphs")
            with publish_file(kept, overwrite=True) as out:
                out.write(hashlib.sha256(whole).digest())
                out.write(whole)
        except (MirrorkitError, OSError) as err:
            log.warning("the compiled graph is not kept, so that each process takes longer to open it (%s)", err)
    return made


def _read(kept: Path) -> bytes | None:
    """Return what is kept; None for a file that is not there, or is not what was written."""
    try:
        make_private(kept.parent, "compiled graphs")
        whole = kept.read_bytes()
    except FileNotFoundError:
        return None
    except (MirrorkitError, OSError) as err:
        log.info("%s: %s", kept, err)
        return None
    digest, blob = whole[:_DIGEST], whole[_DIGEST:]
    if hashlib.sha256(blob).digest() != digest:
        log.warning("%s: damaged; compiled anew", kept)
        return None
    return blob
