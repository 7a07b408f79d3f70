"""More texts than one machine or one file holds: shards that any number of workers encode, and what runs them."""

from mirrorkit.cluster.shards import encode_shards

__all__ = ["encode_shards"]
