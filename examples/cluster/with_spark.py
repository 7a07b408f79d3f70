"""Vectors as a column of a Spark data frame. python with_spark.py BUNDLE INPUT.parquet OUT"""

import sys

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

bundle, source, out = sys.argv[1:]
spark = SparkSession.builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", 4096).getOrCreate()


def encode(batches):
    from mirrorkit import Encoder

    encoder = Encoder(bundle, threads=1)  # once a partition
    for batch in batches:
        vectors = encoder.encode([text or "" for text in batch["text"].to_pylist()])
        lists = pa.ListArray.from_arrays(np.arange(len(vectors) + 1) * encoder.dim, vectors.reshape(-1))
        yield pa.RecordBatch.from_arrays([batch["id"], lists], ["id", "embedding"])


texts = spark.read.parquet(source).select("id", "text")
kind = dict(texts.dtypes)["id"]
texts.mapInArrow(encode, f"id {kind}, embedding array<float>").write.mode("overwrite").parquet(out)
assert spark.read.parquet(out).count() == texts.count()
