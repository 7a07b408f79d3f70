"""Vectors as a column of a Daft data frame. python with_daft.py BUNDLE INPUT.parquet OUT

Count the rows, as is done here: under kills of nodes Daft on Ray lost 1,000 of 12,000 rows and ended with exit code 0.
"""

import sys

import daft
from daft import DataType

bundle, source, out = sys.argv[1:]


@daft.cls(max_concurrency=1)
class Encode:
    def __init__(self):
        from mirrorkit import Encoder

        self.encoder = Encoder(bundle, threads=1)  # once a process

    @daft.method.batch(return_dtype=DataType.list(DataType.float32()), batch_size=4096)
    def vectors(self, texts):
        return list(self.encoder.encode(texts.to_pylist()))


texts = daft.read_parquet(source)
texts.select("id", Encode().vectors(texts["text"]).alias("embedding")).write_parquet(out, write_mode="overwrite")
written, there = daft.read_parquet(out).count_rows(), texts.count_rows()
if written != there:
    sys.exit(f"{written} rows of {there} were written: run it again")
