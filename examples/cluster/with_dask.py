"""The shards of a folder as tasks of a Dask cluster. python with_dask.py BUNDLE INPUT OUT [SCHEDULER]"""

import sys

from distributed import Client, as_completed

from mirrorkit import encode_shards

PARTS = 16  # several for each worker, so that a slow one holds up little


def encode(part, bundle, source, out):
    result = encode_shards(bundle, source, out, part=f"{part}/{PARTS}", resume=True, threads=1)
    return result.encoded


if __name__ == "__main__":
    bundle, source, out = sys.argv[1:4]
    with Client(*sys.argv[4:5]) as client:  # without an address: workers of this machine
        parts = client.map(encode, range(1, PARTS + 1), bundle=bundle, source=source, out=out, retries=4)
        print(sum(part.result() for part in as_completed(parts)), "texts encoded")
    print(*encode_shards(bundle, source, out, finish=True).lines(), sep="\n")
