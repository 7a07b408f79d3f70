"""A bundle on the Hugging Face hub: fetch of it what one variant needs, into the usual cache.

The only thing here that goes to a network, and only where an id was given and no such folder exists. The environment
variables of huggingface_hub count (HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import GOLDEN, MANIFEST, TOKENIZER, Bundle, is_bundle, read_bundle
from mirrorkit.formats.packed import is_packed
from mirrorkit.paths import local_path

HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")  # of a model of somebody's


def is_hub_id(name: str | Path) -> bool:
    """Return whether `name` can only be the id of a model on the hub: `owner/name`, and no folder of that name."""
    return isinstance(name, str) and HUB_ID.fullmatch(name) is not None and not Path(name).exists()


def fetch_bundle(
    repo_id: str, variant: str = "auto", device: str = "cpu", *, revision: str | None = None, whole: bool = False
) -> Path:
    """Return the folder in the hub's cache that holds the bundle `repo_id`, as much of it as was needed so far.

    That is its manifest, its tokenizer and the graph that `variant` comes to on `device`, with its weights; with
    `whole` every file of its manifest. All are of one commit of `revision` (a branch, tag or commit; None: the main
    one). Raises BundleError where the hub or the cache does not have it, or has no bundle there; ConfigError for a
    variant that it lacks.
    """
    bundle = _manifest(repo_id, revision)
    if whole:
        return _fetch_all(repo_id, bundle, bundle.files)
    chosen = bundle.choose(variant, device)
    return _fetch_all(repo_id, bundle, [TOKENIZER, chosen.file, *chosen.data_files])


def open_bundle(name: str | Path, *, revision: str | None = None) -> Bundle:
    """Read a bundle, a folder or a hub id; of a hub id its graphs, tokenizer and golden texts are fetched.

    Raises BundleError for what is no bundle, ConfigError for a `revision` of a folder, and what `fetch_bundle` raises.
    """
    if is_hub_id(name):
        bundle = _manifest(str(name), revision)
        graphs = [file for variant in bundle.variants.values() for file in (variant.file, *variant.data_files)]
        golden = [name for name in (GOLDEN, *(v.golden for v in bundle.variants.values())) if name in bundle.files]
        _fetch_all(str(name), bundle, dict.fromkeys([TOKENIZER, *golden, *graphs]))
        return bundle
    _refuse_revision(name, revision)
    folder = local_path(name)
    if not is_bundle(folder):
        if is_packed(folder):
            raise BundleError(f"{name}: a folder is needed here; mirrorkit unpack {folder.name} -o BUNDLE makes one")
        what = "is a file" if folder.is_file() else f"no {MANIFEST} in it" if folder.exists() else "no such folder"
        raise BundleError(f"{name}: {what}; give a bundle's folder, as mirrorkit export writes it, or its hub id")
    return read_bundle(folder)


def holds_bundle(name: str | Path, *, revision: str | None = None) -> bool:
    """Return whether `name` is the hub id of a bundle and not of a model; False where nobody can tell."""
    if not is_hub_id(name):
        return False
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(str(name), MANIFEST, revision=revision)
    except Exception:  # the hub client raises a dozen unrelated types; who then asks for the model tells what is wrong
        return False
    return True


def folder_of(
    name: str | Path, variant: str, device: str, *, revision: str | None = None, whole: bool = False
) -> str | Path:
    """Return `name` as it is, or for a hub id the folder that its bundle was fetched into.

    Raises ConfigError for a `revision` of a folder, and what `fetch_bundle` raises.
    """
    if is_hub_id(name):
        return fetch_bundle(str(name), variant, device, revision=revision, whole=whole)
    _refuse_revision(name, revision)
    return name


def _refuse_revision(name: str | Path, revision: str | None) -> None:
    if revision is not None:
        raise ConfigError(f"revision {revision!r}: applies only to a model on the hub, and {name} is a folder")


def _manifest(repo_id: str, revision: str | None) -> Bundle:
    return read_bundle(_fetch(repo_id, MANIFEST, revision).parent, complete=True)


def _fetch_all(repo_id: str, bundle: Bundle, names: Iterable[str]) -> Path:
    """Fetch files of the commit that the manifest is of; return the folder that holds them."""
    for name in names:
        _fetch(repo_id, name, bundle.folder.name)
    return bundle.folder


def _fetch(repo_id: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo_id, name, revision=revision))
    except LocalEntryNotFoundError as err:  # an EntryNotFoundError too: neither reached nor in the cache
        reason = "HF_HUB_OFFLINE is set, and it is not in the cache" if constants.HF_HUB_OFFLINE else _line(err)
    except EntryNotFoundError as err:
        if name == MANIFEST:
            raise BundleError(
                f"{repo_id}: no {MANIFEST} there, so it is not a bundle; make one of the model: "
                f"mirrorkit export {repo_id} -o BUNDLE"
            ) from err
        reason = _line(err)
    except Exception as err:  # the hub client raises a dozen unrelated types, down to the HTTP library's own
        reason = _line(err)
    raise BundleError(f"{repo_id}: no such folder, and {name} cannot be fetched from the Hugging Face hub ({reason})")


def _line(err: BaseException) -> str:
    return str(err).strip().partition("\n")[0] or type(err).__name__
