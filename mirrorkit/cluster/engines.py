"""What runs the tasks of shards: this process, or a cluster. An engine has only to call `encode_shard` for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mirrorkit.cluster.job import Task, encode_shard
from mirrorkit.cluster.records import ShardRecord
from mirrorkit.errors import ConfigError, OutputError

Outcome = ShardRecord | OutputError  # of a shard: what was written, or why it could not be
Engine = Callable[[list[Task]], Iterator[Outcome]]  # in any order


def engine_of(on: str | None) -> Engine:
    """Return what `on` names; None is this process. Raises ConfigError for an unknown engine."""
    if on is None:
        return here
    name, _, address = on.partition("=")
    if name != "ray":
        raise ConfigError(f"on {on!r}: must be ray, ray=HOST:PORT, ray=auto or ray=local")
    from mirrorkit.cluster.on_ray import connect, run_on_ray

    connect(address or "auto")
    return run_on_ray


def here(tasks: list[Task]) -> Iterator[Outcome]:
    """Encode one shard after another in this process."""
    for task in tasks:
        try:
            yield encode_shard(task)
        except OutputError as err:
            if not task.job.skip:
                raise
            yield err
