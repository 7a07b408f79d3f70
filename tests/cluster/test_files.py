"""The files for job arrays and clusters that the docs offer: their commands run, the files fit their schemas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import mirrorkit
from mirrorkit.runtime.encoder import Encoder
from tests.cluster.texts import check_shards, make_input

ROOT = Path(mirrorkit.__file__).parents[1]
FILES = ROOT / "examples" / "cluster"


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """Return an environment with `mirrorkit`, and a Slurm that runs a job where it stands and notes what is sent."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, line in (
        ("mirrorkit", f'exec {sys.executable} -m mirrorkit "$@" --id-column id --threads 1'),
        ("srun", 'exec "$@"'),
        ("sbatch", f'echo "$@" >> {tmp_path}/sent'),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_a_slurm_array(programs: dict[str, str], bundle: Path, encoder: Encoder, tmp_path: Path) -> None:
    texts, out = make_input(tmp_path / "texts", 3), tmp_path / "out"
    given = {"BUNDLE": str(bundle), "INPUT": str(texts), "OUT": f"{out}/", "SLURM_CPUS_PER_TASK": "1"}
    array = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "2"}
    for number in "12":
        task = {**programs, **given, **array, "SLURM_ARRAY_TASK_ID": number}
        # The options of the example are the user's; here it is one thread, which the program above says at the end.
        subprocess.run(["bash", str(FILES / "slurm.sh")], env=task, check=True)
    assert (tmp_path / "sent").read_text().startswith("--array=1 --dependency=afterok:7 --export=ALL,FINISH=1 ")
    assert not (out / "_SUCCESS").exists()
    subprocess.run(["bash", str(FILES / "slurm.sh")], env={**programs, **given, "FINISH": "1"}, check=True)
    check_shards(out, 3, encoder)
    assert (out / "_SUCCESS").exists()


@pytest.mark.slow
def test_the_command_of_an_indexed_job(
    programs: dict[str, str], bundle: Path, encoder: Encoder, tmp_path: Path
) -> None:
    texts, out = make_input(tmp_path / "texts", 3), tmp_path / "out"
    (container,) = kubernetes()["spec"]["template"]["spec"]["containers"]
    (line,) = container["args"]
    assert container["command"] == ["sh", "-c"]
    for theirs, ours in (
        ("/bundle", str(bundle)),
        ("s3://texts/in/", str(texts)),
        ("s3://texts/vectors/", f"{out}/"),
        ("/16", "/3"),
    ):
        assert line.count(theirs) == 1
        line = line.replace(theirs, ours)
    for index in "012":
        subprocess.run(["sh", "-c", line], env={**programs, "JOB_COMPLETION_INDEX": index}, check=True)
    check_shards(out, 3, encoder)


def kubernetes() -> Any:
    return yaml.safe_load((FILES / "kubernetes.yaml").read_text(encoding="utf-8"))


def test_kubernetes_takes_the_job() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="needs the environment of tests/consumers")
    job = kubernetes()
    validator.validate(job, "1.37", strict=True)
    job["spec"]["completionMod"] = "Indexed"
    with pytest.raises(validator.ValidationError):
        validator.validate(job, "1.37", strict=True)


def test_ray_takes_the_cluster() -> None:
    ray = pytest.importorskip("ray", reason="needs the environment of tests/consumers")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    cluster = yaml.safe_load((FILES / "ray.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster, "max_workers": "many"}, schema)
