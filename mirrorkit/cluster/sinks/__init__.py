"""Where the vectors of a finished folder of shards go: a thin module a store, each by the store's own library."""
