"""A folder of texts to a folder of vectors: what `mirrorkit encode` does with more than one file."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from mirrorkit.cluster.addresses import place_of
from mirrorkit.cluster.engines import engine_of
from mirrorkit.cluster.folder import Folder
from mirrorkit.cluster.job import Job, opened
from mirrorkit.cluster.plan import plan_shards
from mirrorkit.cluster.result import ShardsResult
from mirrorkit.cluster.run import ShardsRun
from mirrorkit.errors import ConfigError
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress, Silent
from mirrorkit.runtime.tensorrt.options import Tensorrt

SHARD_ROWS = 100_000
_PART = re.compile(r"([1-9]\d{0,6})/([1-9]\d{0,6})")


def encode_shards(
    bundle: str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    id_column: str | None = None,
    keep: str | Sequence[str] = (),
    shard_rows: int = SHARD_ROWS,
    part: str | None = None,
    on: str | None = None,
    on_error: str = "stop",
    status: bool = False,
    finish: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    variant: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    tensorrt: Tensorrt | None = None,
    engine: str = "onnxruntime",
    precision: str | None = None,
    text_column: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    prompt: str | None = None,
    prompt_name: str | None = None,
    normalize: bool | None = None,
    truncate_dim: int | None = None,
    output_type: str = "float32",
    revision: str | None = None,
    batch_tokens: int | None = None,
    expect: str | None = None,
    long: str = "cut",
    progress: Progress | None = None,
) -> ShardsResult:
    """Encode folders, patterns and files of texts to the folder `out` of parquet files, a shard each.

    `inputs` and `out` are paths of this machine or addresses: s3://, gs://, and what fsspec knows, such as az:// and
    hf://. A file is a shard; a parquet file of more than `shard_rows` rows is cut between its row groups into shards of
    about so many (0: never). The vectors of a shard are in the column `embedding`, in the order of its rows, behind
    `id_column` and the columns `keep`. Parquet columns keep their types, those of other files are strings.

    A shard is there whole or not at all, and its record, in `out/_shards`, after it. With `resume` shards are left
    alone that are done: of an input that has not changed since, by the same encoder and options; vectors of others in
    `out` are refused unless `overwrite`. `part`, such as "3/16", does every sixteenth shard. At the end of a run
    without it, or of one with `finish`, which encodes nothing, every shard is held against its record, and
    `out/_manifest.json` and `out/_SUCCESS` are written. `status` only looks.
    `on_error`: `stop`, or `skip`, which leaves out rows that cannot be read or encoded and files that cannot be read,
    and names them in the records and the manifest; where there are such files `_SUCCESS` is not written.
    `on`: `ray` or `ray=HOST:PORT`, which runs the shards as tasks of that cluster; `ray=local` of this machine.
    The others are those of `encode_file`.

    Vectors are the same bits as those of `Encoder.encode_iter` over the texts of the shard, on the same kind of
    processor with the same versions, whoever encodes it. Between other divisions of the texts they differ in the last
    bits: the sums in a batch are added up in another order.

    Raises CorpusError for inputs that are not there or cannot be read, OutputError where the result cannot be written
    or is of another encoder, BundleError, ConfigError.

    >>> from mirrorkit import encode_shards
    >>> encode_shards("bundle", "texts/*.jsonl", "vectors", keep=["text"]).complete
    True
    >>> encode_shards("bundle", "texts/*.jsonl", "vectors", keep=["text"], resume=True).encoded
    0
    """
    folder = local_path(bundle)
    job = Job(
        str(folder.absolute() if folder.is_dir() else bundle),
        variant,
        device,
        threads,
        tensorrt and tensorrt.absolute(),
        engine,
        precision,
        revision,
        expect,
        text_column,
        delimiter,
        encoding,
        header,
        id_column,
        (keep,) if isinstance(keep, str) else tuple(keep),
        prompt,
        prompt_name,
        normalize,
        truncate_dim,
        output_type,
        batch_tokens,
        long,
        skip=on_error == "skip",
    )
    if on_error not in ("stop", "skip"):
        raise ConfigError(f"on_error {on_error!r}: must be stop or skip")
    if status and finish:
        raise ConfigError("`status` and `finish` exclude each other")
    of = _part(part)
    if part and (status or finish):
        raise ConfigError("`part` is of a run that encodes; `status` and `finish` are of all shards")
    job.columns, job.reading()
    started = time.perf_counter()
    engine_for_tasks = engine_of(on)
    shards = Folder(place_of(out))
    paths = [str(one) for one in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    plan = plan_shards(paths, shards.out, shard_rows)
    shards.check_target()
    run = ShardsRun(shards, plan, job, opened(job), started)
    if status:
        return run.status()
    if finish:
        return run.finish(overwrite=overwrite)
    mine = plan.shards if of is None else plan.part(*of)
    return run.encode(mine, engine_for_tasks, resume=resume, overwrite=overwrite, progress=progress or Silent())


def _part(part: str | None) -> tuple[int, int] | None:
    """Return the number of a part and how many there are."""
    if part is None:
        return None
    found = _PART.fullmatch(part)
    number, of = (int(found[1]), int(found[2])) if found else (1, 0)
    if number > of:
        raise ConfigError(f"part {part!r}: must be a number and how many there are, from 1/16 to 16/16 for sixteen")
    return number, of
