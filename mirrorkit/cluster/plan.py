"""Which shards there are: a file of the input each, or some row groups of a long parquet file.

Every worker plans for itself and comes to the same shards, so that they need not talk.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mirrorkit.cluster.addresses import place_of
from mirrorkit.cluster.places import File, Place, divided, is_hidden, is_inside, is_remote, shown
from mirrorkit.cluster.records import Shard
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.paths import is_there
from mirrorkit.text.opened import kind_by_name

log = logging.getLogger(__name__)

PARQUET = ".parquet"
KINDS = (PARQUET, ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".arrow")  # that are looked for in a folder
_AT_A_TIME = 16  # files whose ends are read
_MAGIC = re.compile(r"[*?[]")
_NAMED = 3  # files that are named in one line


@dataclass(frozen=True)
class Plan:
    """The shards of an input, in the order of their names."""

    root: Place  # that all inputs lie in
    shards: tuple[Shard, ...]

    def part(self, number: int, of: int) -> tuple[Shard, ...]:
        """Return every `of`-th shard, from the `number`-th on: files of one kind are spread over all parts."""
        return self.shards[number - 1 :: of]


def is_several(inputs: Sequence[str]) -> bool:
    """Tell whether inputs are more than one plain file of this machine: several, a folder, a pattern, a store."""
    if len(inputs) != 1:
        return True
    (one,) = inputs
    if one == "-":
        return False
    return is_remote(one) or _is_pattern(one) or (is_there(one) and Path(one).is_dir())


def plan_shards(inputs: Sequence[str], out: Place, shard_rows: int) -> Plan:
    """Return the shards of files, folders and patterns.

    `shard_rows`: a parquet file of more rows is cut between row groups into shards of about so many; 0 cuts none.
    Raises CorpusError for inputs that are not there, ConfigError for those that cannot go together.
    """
    if shard_rows < 0:
        raise ConfigError(f"shard_rows {shard_rows}: must be at least 1, or 0 for a shard a file")
    if not inputs:
        raise ConfigError("inputs []: must name a file, a folder or a pattern")
    if "-" in inputs:
        raise ConfigError("standard input cannot be divided into shards; give files")
    starts, names = zip(*map(divided, inputs), strict=True)
    if len(set(starts)) > 1:
        raise ConfigError("inputs must all lie in one bucket, or all on this machine, to have names of their own")
    base = place_of(starts[0])
    expanded = [_expanded(one, name, base, out) for one, name in zip(inputs, names, strict=True)]
    top = posixpath.commonpath([f"/{found.top}" for found in expanded])[1:]
    root = base.below(top)
    files = {file.name: _renamed(file, top) for found in expanded for file in found.files}
    _check_outside(files.values(), root, out)
    shards = tuple(_shards([files[name] for name in sorted(files)], root, shard_rows))
    if not shards:
        raise CorpusError(f"{', '.join(map(shown, inputs[:_NAMED]))}: no files to encode ({' '.join(KINDS)})")
    _check_names(shards)
    return Plan(root, shards)


@dataclass(frozen=True)
class _Expanded:
    """What an input stands for."""

    top: str  # folder that all of it lies in
    files: list[File]


def _expanded(one: str, name: str, base: Place, out: Place) -> _Expanded:
    """Return the files of one input, `name` in `base`; raises CorpusError where there are none."""
    if _is_pattern(one):
        top = name[: _MAGIC.search(name).start()].rpartition("/")[0]  # type: ignore[union-attr]
        if "**" in name:
            _check_apart(out, base.below(top), one)
        fits = re.compile(_regular(name))
        files = [_renamed(file, top, back=True) for file in base.below(top).files()]
        files = [file for file in files if fits.fullmatch(file.name)]
        if not files:
            raise CorpusError(f"{shown(one)}: no file has a name like this")
        return _Expanded(top, files)
    if base.is_folder(name):
        _check_apart(out, base.below(name), one)
        return _Expanded(name, _in_folder(one, name, base))
    if (file := base.find(name)) is None:
        raise CorpusError(f"{shown(one)}: no such file or folder")
    return _Expanded(name.rpartition("/")[0], [file])


def _in_folder(one: str, name: str, base: Place) -> list[File]:
    files = [_renamed(file, name, back=True) for file in base.below(name).files()]
    known = [file for file in files if kind_by_name(file.name) in KINDS]
    others = [file.name.rpartition("/")[2] for file in files if file not in known]
    if others:
        log.warning("%s: %d files are of no kind that is read: %s", shown(one), len(others), ", ".join(others[:_NAMED]))
    if not known:
        raise CorpusError(f"{shown(one)}: no files to encode ({' '.join(KINDS)}, packed or not)")
    return known


def _renamed(file: File, top: str, *, back: bool = False) -> File:
    """Return the file with its name below `top`, or `back` from there."""
    if not top:
        return file
    return replace(file, name=f"{top}/{file.name}" if back else file.name[len(top) + 1 :])


def _is_pattern(address: str) -> bool:
    if is_remote(address):  # where a `?` begins the options
        return bool(re.search(r"[*[]", address.partition("?")[0]))
    return bool(_MAGIC.search(address)) and not is_there(address)


def _check_apart(out: Place, folder: Place, one: str) -> None:
    if is_inside(out, folder):
        raise ConfigError(f"{out.shown}: lies inside {shown(one)}, so that vectors would be taken for texts")


def _regular(pattern: str) -> str:
    """Return a pattern of names as a regular expression: `**/` is any folders, `*` and `?` stay in one."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(part) or (part.replace("[!", "[^") if part.startswith("[") and len(part) > 2 else re.escape(part))
        for part in parts
    )


def _check_outside(files: Iterable[File], root: Place, out: Place) -> None:
    """Raise ConfigError where an input lies in the folder of the shards, or its name would be hidden there."""
    for file in files:
        if f"{root.key()}{file.name}".startswith(out.key()):
            raise ConfigError(f"{out.shown}: the input {file.name} lies inside it; give another folder")
        if any(map(is_hidden, file.name.split("/"))):
            raise ConfigError(f"{file.name}: names that begin with a dot or `_` are hidden from readers; rename it")


def _check_names(shards: Sequence[Shard]) -> None:
    """Raise ConfigError where two inputs would become one output, on a file system without capital letters too."""
    first: dict[str, Shard] = {}
    for shard in shards:
        other = first.setdefault(shard.name.casefold(), shard)
        if other is not shard:
            raise ConfigError(f"{other.source} and {shard.source}: would both become {shard.name}; rename one")


def _shards(files: Sequence[File], root: Place, shard_rows: int) -> Iterator[Shard]:
    tables = [file for file in files if shard_rows and kind_by_name(file.name) == PARQUET]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        groups = dict(zip(tables, pool.map(lambda file: _rows_of_groups(root, file), tables), strict=True))
    for file in files:
        stem = file.name.removesuffix(PARQUET)
        cuts = list(_cuts(groups.get(file) or [], shard_rows))
        if len(cuts) < 2:
            yield Shard(stem + PARQUET, file.name, file.size, file.changed)
            continue
        for first, last in cuts:
            name = f"{stem}.rg{first:05d}-{last - 1:05d}{PARQUET}"
            yield Shard(name, file.name, file.size, file.changed, tuple(range(first, last)))


def _rows_of_groups(root: Place, file: File) -> list[int]:
    """Return the rows of each row group of a parquet file; none where it is damaged, which its own shard will tell."""
    parquet = require("pyarrow.parquet", extra="parquet")
    try:
        with foreign(CorpusError, file.name), root.open(file.name) as raw, parquet.ParquetFile(raw) as table:
            about = table.metadata
            return [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    except CorpusError:
        return []


def _cuts(rows: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield the first row group of each shard and the one past its last: at most so many rows, but one group."""
    first = held = 0
    for i, count in enumerate(rows):
        if held and held + count > most:
            yield first, i
            first, held = i, 0
        held += count
    if rows:
        yield first, len(rows)
