"""The recipes for other engines, each where its engine is installed: every id once, the vectors of the encoder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import dataset

import mirrorkit
from mirrorkit.runtime.encoder import Encoder
from tests.cluster.texts import write_parquet

ROOT = Path(mirrorkit.__file__).parents[1]
TEXTS = [f"row {i}" + " and more" * (i % 6) for i in range(60)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "module"),
    [
        ("with_dask.py", "distributed"),
        ("with_ray_data.py", "ray.data"),
        ("with_daft.py", "daft"),
        ("with_spark.py", "pyspark"),
    ],
)
def test_a_recipe(recipe: str, module: str, bundle: Path, encoder: Encoder, tmp_path: Path) -> None:
    pytest.importorskip(module.partition(".")[0], reason=f"needs {module}")
    if module == "pyspark" and not shutil.which("java"):
        pytest.skip("needs Java")
    (tmp_path / "in").mkdir()
    write_parquet(tmp_path / "in" / "a.parquet", TEXTS, 20)
    paths = [ROOT / "examples" / "cluster" / recipe, bundle, tmp_path / "in", tmp_path / "out"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, *map(str, paths)], env=env, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    table = dataset.dataset(tmp_path / "out", format="parquet").to_table()
    vectors = np.array(table["embedding"].to_pylist(), dtype=np.float32).reshape(len(table), -1)
    rows = list(range(len(TEXTS)))
    ids = table["id"].to_pylist() if "id" in table.column_names else rows  # shards have the column that is asked for
    assert sorted(ids) == rows
    np.testing.assert_allclose(vectors, encoder.encode(TEXTS)[ids], rtol=0, atol=1e-6)
