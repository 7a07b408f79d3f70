"""Vectors as a column of a Ray data set. python with_ray_data.py BUNDLE INPUT.parquet OUT"""

import sys

import ray
from ray.data import ActorPoolStrategy, DataContext

bundle, source, out = sys.argv[1:]
ray.init(num_cpus=3)
# By default two dozen small files become one block: nothing runs beside it, and a kill loses all of it.
DataContext.get_current().target_max_block_size = 800_000


class Encode:
    def __init__(self):
        from mirrorkit import Encoder

        self.encoder = Encoder(bundle, threads=1)  # once an actor

    def __call__(self, batch):
        return {"id": batch["id"], "embedding": self.encoder.encode(batch["text"])}


texts = ray.data.read_parquet(source, columns=["id", "text"])
# One CPU is left for the reads: a pool of actors on all of them waits for a read that can never start.
texts.map_batches(Encode, batch_size=4096, compute=ActorPoolStrategy(size=2)).write_parquet(out)
assert ray.data.read_parquet(out).count() == texts.count()
