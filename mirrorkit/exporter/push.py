"""Publish a bundle on the Hugging Face hub: what `check` passes, and nothing that the manifest does not list."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from mirrorkit.errors import BundleError, ConfigError, OutputError, first_line
from mirrorkit.formats.bundle import MANIFEST, is_bundle, read_bundle
from mirrorkit.formats.card import read_front
from mirrorkit.paths import local_path
from mirrorkit.runtime.hub import HUB_ID
from mirrorkit.verification.check import check
from mirrorkit.verification.problem import errors


@dataclass(frozen=True)
class PushResult:
    """What was published, and where.

    >>> from mirrorkit import PushResult
    >>> pushed = PushResult("me/my-encoder", "https://huggingface.co/me/my-encoder", "1f3a", 12, 27_000_000, notes=())
    >>> pushed.lines()
    ['pushed me/my-encoder: 12 files, 27.0 MB; https://huggingface.co/me/my-encoder']
    """

    repository: str  # owner/name
    url: str  # of the commit
    commit: str
    files: int
    bytes: int
    notes: tuple[str, ...]  # what a reader of its page will miss

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what a person wants to read of it."""
        told = f"pushed {self.repository}: {self.files} files, {self.bytes / 1e6:.1f} MB; {self.url}"
        return [told, *(f"note: {note}" for note in self.notes)]


def push(
    bundle: str | Path,
    repository: str,
    *,
    revision: str | None = None,
    private: bool = False,
    message: str | None = None,
) -> PushResult:
    """Check `bundle` and commit it to the model `repository` (`owner/name`) of the Hugging Face hub, made if need be.

    All files go into one commit, onto the branch `revision` (None: the main one); `private` counts where the repository
    is new. The card is that of the bundle, as its owner may have edited it. The hub's own settings count (HF_TOKEN,
    HF_ENDPOINT, `hf auth login`).

    Raises BundleError for a folder that is no bundle, is kept in part or does not pass `check`, ConfigError for a bad
    id, OutputError where the hub refuses.

    >>> from mirrorkit import MirrorkitError, push
    >>> try:
    ...     push("sts", "me/my-encoder")
    ... except MirrorkitError as err:
    ...     print(err)
    sts: no mirrorkit.json in it, so this is not a bundle; make one: mirrorkit export
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    folder = local_path(bundle)
    if not HUB_ID.fullmatch(repository):
        raise ConfigError(f"repository {repository!r}: must be owner/name on the hub")
    if not is_bundle(folder):
        raise BundleError(f"{bundle}: no {MANIFEST} in it, so this is not a bundle; make one: mirrorkit export")
    refused = errors(check(folder).problems)
    if refused:
        raise BundleError(f"{bundle}: not pushed: it does not pass its check: {refused[0].line()}")
    opened = read_bundle(folder)
    if opened.absent:
        raise BundleError(f"{bundle}: not pushed: {', '.join(opened.absent)} were left out of it")
    names = [MANIFEST, *(name for name in opened.files if (folder / name).is_file())]
    api = HfApi()
    try:
        api.create_repo(repository, private=private or None, exist_ok=True)
        done = api.create_commit(
            repository,
            [CommitOperationAdd(name, folder / name) for name in names],
            commit_message=message or f"Publish {folder.resolve().name}",
            revision=revision,
        )
    except Exception as err:  # the hub client raises a dozen unrelated types, down to the HTTP library's own
        raise OutputError(f"{repository}: the hub rejected it ({first_line(err)})") from err
    size = sum((folder / name).stat().st_size for name in names)
    return PushResult(repository, str(done.commit_url), str(done.oid), len(names), size, tuple(_missing(folder)))


def _missing(folder: Path) -> list[str]:
    """Return what the card does not say."""
    front = read_front(folder)
    wanted = {"license": "a licence", "base_model": "a base model", "language": "a language"}
    return [f"README.md names no {what.partition(' ')[2]} ({key})" for key, what in wanted.items() if key not in front]
