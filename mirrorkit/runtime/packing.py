"""A bundle's folder to one file that is mapped into memory and used as it is, and back."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import (
    GOLDEN,
    MANIFEST,
    TOKENIZER,
    Bundle,
    FileRecord,
    Variant,
    check_file,
    read_bundle,
)
from mirrorkit.formats.bundle_writer import manifest_text
from mirrorkit.formats.files import is_file_within, sha256_of
from mirrorkit.formats.packed import is_packed, read_packed, write_packed
from mirrorkit.paths import local_path
from mirrorkit.publish import check_file_target, check_space, check_target, publish_file, publish_folder
from mirrorkit.runtime.hub import open_bundle

SUFFIX = ".mkit"
_CARD = "README.md"  # people write into it, and no runtime reads it


@dataclass(frozen=True)
class PackResult:
    """A bundle that was packed into one file, or unpacked into a folder.

    >>> from pathlib import Path
    >>> from mirrorkit import PackResult
    >>> PackResult(Path("encoder.mkit"), ("int8",), 12, 24_300_000).line()
    'encoder.mkit: int8, 12 files, 24.3 MB'
    """

    out: Path
    variants: tuple[str, ...]
    files: int
    bytes: int

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {**asdict(self), "out": str(self.out)}

    def line(self) -> str:
        """Return what a person wants to read of it."""
        return f"{self.out}: {', '.join(self.variants)}, {self.files} files, {self.bytes / 1e6:.1f} MB"


def pack(
    bundle: str | Path, out: str | Path, *, variants: Sequence[str] | None = None, overwrite: bool = False
) -> PackResult:
    """Write a bundle, its folder or hub id, to the one file `out`, which must end in `.mkit`.

    `variants` are the names of those to take along, None: all. The graphs and weights of the others are left out, and
    so are the weights that only torch reads. Every file is held against its recorded hash first. The same bundle always
    makes the same bytes.

    Raises BundleError for what is no bundle or is damaged, ConfigError for a variant that it lacks, OutputError where
    `out` cannot be written.

    >>> from mirrorkit import Encoder, pack
    >>> packed = pack("bundle", "encoder.mkit", variants=["int8"])
    >>> packed.variants, Encoder("encoder.mkit").variant
    (('int8',), 'int8')
    """
    target = local_path(out)
    if target.suffix != SUFFIX:
        raise ConfigError(f"out {str(out)!r}: must end in {SUFFIX}")
    source = open_bundle(bundle)
    chosen = source.named(variants)
    if not chosen:
        raise BundleError(f"{bundle}: holds no variants{' here: all were left out' if source.absent else ''}")
    names = _kept(source, chosen)
    if TOKENIZER not in names:
        raise BundleError(f"{bundle}: {TOKENIZER} is missing")
    check_file_target(target, overwrite=overwrite)
    records = {name: _checked(source, name) for name in names}
    check_space(target, sum(record.bytes for record in records.values()))
    slim = replace(source, variants={v.name: v for v in chosen}, absent={}, files=records)
    with publish_file(target, overwrite=overwrite) as file:
        write_packed(file, manifest_text(slim).encode(), ((name, _mapped(source.path(name))) for name in names))
        size = file.tell()
    return PackResult(target, tuple(slim.variants), len(names) + 1, size)


def unpack(packed: str | Path, out: str | Path, *, overwrite: bool = False) -> PackResult:
    """Write the files of a packed bundle into the folder `out`: a bundle with what was packed.

    Raises BundleError for what `pack` did not write or is damaged, OutputError where `out` cannot be written.

    >>> from mirrorkit import pack, unpack
    >>> made = pack("bundle", "encoder.mkit", variants=["fp32"])
    >>> unpack("encoder.mkit", "unpacked").variants
    ('fp32',)
    """
    source, folder = local_path(packed), local_path(out)
    if not is_packed(source):
        what = "is not a file that mirrorkit pack wrote" if source.exists() else "no such file"
        raise BundleError(f"{packed}: {what}")
    members = read_packed(source).members
    bundle = read_bundle(source, packed=True)
    size = sum(len(data) for data in members.values())
    check_target(folder, overwrite=overwrite, needs_bytes=size)
    for name in bundle.files:
        check_file(bundle, name)
    with publish_folder(folder, overwrite=overwrite) as new:
        for name in (MANIFEST, *bundle.files):
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(members[name])
    return PackResult(folder, tuple(bundle.variants), len(bundle.files) + 1, size)


def _kept(bundle: Bundle, chosen: Sequence[Variant]) -> list[str]:
    """Return the files to pack: what the chosen variants need, and what is small and here."""
    everyone = (*bundle.variants.values(), *bundle.absent.values())
    needed = {GOLDEN} | {name for v in chosen for name in (v.file, v.golden, *v.data_files)}
    spare = {name for v in everyone for name in (v.file, v.golden, *v.data_files)} - needed

    def is_kept(name: str) -> bool:
        return name in needed or (name not in spare and not name.endswith(".safetensors"))

    return sorted(name for name in bundle.files if is_kept(name) and is_file_within(bundle.folder, name))


def _checked(bundle: Bundle, name: str) -> FileRecord:
    if name == _CARD:
        return FileRecord(sha256_of(bundle.path(name)), bundle.path(name).stat().st_size)
    check_file(bundle, name)
    return bundle.files[name]


def _mapped(file: Path) -> memoryview | bytes:
    if not file.stat().st_size:  # nothing to map
        return b""
    with file.open("rb") as handle:
        return memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
