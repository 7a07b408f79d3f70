"""Shards as tasks of a Ray cluster: Ray starts workers, finds out that they died, and calls the task again elsewhere.

Nothing else is Ray's: inputs and vectors do not go through its object store, and what is done is read from the folder
of shards, so that a driver that died is started again and goes on.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mirrorkit.cluster.job import Task, encode_shard, opened
from mirrorkit.cluster.records import ShardRecord
from mirrorkit.errors import ConfigError, MirrorkitError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.machine.facts import usable_cores

log = logging.getLogger(__name__)

AUTO, LOCAL = "auto", "local"
_CONNECT = 5.0  # seconds
_WINDOW = 2  # tasks a worker: one that runs and one that waits for it
_RETRIES = 8  # of a task whose worker or node died
_LONGEST = 400  # characters of what Ray says
_BASE = 400 << 20  # bytes that a worker takes beside its model


def connect(address: str) -> None:
    """Connect this process to a cluster, unless it is connected. Raises ConfigError where that cannot be done."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read as Ray is imported; it would send statistics
    ray = require("ray", extra="ray")
    if ray.is_initialized():
        return
    given: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == LOCAL:
        given.update(num_cpus=usable_cores(), include_dashboard=False)
    else:
        given["address"] = address
        if address != AUTO:
            _check_reachable(address)
    try:
        ray.init(**given)
    except Exception as err:  # of many kinds; what it says of two versions takes several lines
        said = " ".join(str(err).split())[:_LONGEST]
        raise ConfigError(f"on 'ray={address}': cannot be used ({said or type(err).__name__})") from err


def run_on_ray(tasks: list[Task]) -> Iterator[ShardRecord | OutputError]:
    """Yield what comes of the tasks, in the order in which they end; the connected cluster runs them."""
    ray = require("ray", extra="ray")
    # A thread a worker, unless asked for more: workers that each take a text are not in one another's way.
    waiting = deque(replace(task, job=replace(task.job, threads=task.job.threads or 1)) for task in tasks)
    needs = _needs(waiting[0])
    _warn_of_waiting(ray, needs)
    encode = ray.remote(**needs, max_retries=_RETRIES)(_encode)
    running: dict[Any, Task] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _window(ray, waiting[0]):
                task = waiting.popleft()
                running[encode.remote(task)] = task
            for ended in ray.wait(list(running), num_returns=1)[0]:
                yield _outcome(ray, ended, running.pop(ended))
    finally:
        for left in running:
            ray.cancel(left, force=True)


def _encode(task: Task) -> ShardRecord | MirrorkitError:
    """Encode a shard in a worker; an error is returned, as Ray would wrap it into one of its own."""
    try:
        return encode_shard(task)
    except MirrorkitError as err:
        return err


def _outcome(ray: Any, ended: Any, task: Task) -> ShardRecord | OutputError:
    try:
        outcome: ShardRecord | MirrorkitError = ray.get(ended)
    except ray.exceptions.RayError as err:
        outcome = OutputError(f"{task.shard.name}: its workers died, {_RETRIES + 1} in all ({reason(err)})")
    if isinstance(outcome, ShardRecord) or (isinstance(outcome, OutputError) and task.job.skip):
        return outcome
    raise outcome


def _needs(task: Task) -> dict[str, Any]:
    """Return what a task takes of a machine, by which Ray places it."""
    model = sum(file.stat().st_size for file in opened(task.job).encoder.files)
    return {
        "num_cpus": task.job.threads or 1,
        "num_gpus": 1 if task.job.device == "cuda" else 0,
        "memory": _BASE + 2 * model,  # a graph is copied while it is opened
    }


def _warn_of_waiting(ray: Any, needs: dict[str, Any]) -> None:
    """Say where no machine is large enough: Ray waits for one without a word, for it may be on its way."""
    wanted = {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"], "memory": needs["memory"]}
    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= count for name, count in wanted.items()) for node in there):
        log.warning(
            "no machine of the cluster has %d CPUs, %d GPUs and %.1f GB of memory, as a shard needs: waiting for one",
            wanted["CPU"],
            wanted["GPU"],
            wanted["memory"] / 1e9,
        )


def _window(ray: Any, task: Task) -> int:
    """Return how many tasks should be under way: the cluster may have grown or shrunk."""
    cores = int(ray.cluster_resources().get("CPU", 0))
    return _WINDOW * max(1, cores // (task.job.threads or 1))


def _check_reachable(address: str) -> None:
    """Raise ConfigError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        raise ConfigError(f"on 'ray={address}': must be ray=HOST:PORT, ray=auto or ray=local")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT).close()
    except (OSError, OverflowError, UnicodeError) as err:
        raise ConfigError(f"on 'ray={address}': nothing can be reached there ({reason(err)})") from err
