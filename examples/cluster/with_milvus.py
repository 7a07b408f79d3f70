"""A finished folder of shards into Milvus Lite. python with_milvus.py SHARDS FILE.db (shards with --id-column id)"""

import sys
from pathlib import Path

import pyarrow.dataset as ds
from pymilvus import DataType, MilvusClient

if __name__ == "__main__":
    shards, file = sys.argv[1:]
    if not (Path(shards) / "_SUCCESS").exists():
        sys.exit(f"{shards}: is not finished")
    data = ds.dataset(shards)
    client = MilvusClient(file)
    schema = client.create_schema()
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=256)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=data.schema.field("embedding").type.list_size)
    index = client.prepare_index_params()
    index.add_index("embedding", index_type="FLAT", metric_type="COSINE")
    if not client.has_collection("texts"):
        client.create_collection("texts", schema=schema, index_params=index)
    for batch in data.to_batches(columns=["id", "embedding"], batch_size=1000):
        rows = [{"id": str(row["id"]), "embedding": row["embedding"]} for row in batch.to_pylist()]
        if rows:
            client.upsert("texts", rows)
    found = client.query("texts", filter="", output_fields=["count(*)"])[0]["count(*)"]
    print(f"{found} of {data.count_rows()} rows")
    sys.exit(found != data.count_rows())
