"""Qdrant: a collection of a server, or of the folder of its embedded mode."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mirrorkit.cluster.finished import SHARD, Finished, key_of
from mirrorkit.cluster.job import EMBEDDING
from mirrorkit.cluster.places import shown
from mirrorkit.cluster.records import MadeBy, ShardRecord
from mirrorkit.cluster.sinks.sink import Sink, check_name, rows_at_once, vectors_of
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.extras import require
from mirrorkit.paths import local_path
from mirrorkit.publish.targets import check_links

_NUMBERS = 1 << 19  # in a request, which the server takes up to 32 MB of
_MARK = "mirrorkit"  # in the metadata of the collection
_KEY = "QDRANT_API_KEY"  # in the environment
_MOST_SHARDS = 1_000_000
_DISTANCES = {"cosine": "Cosine", "dot": "Dot", "euclidean": "Euclid", "manhattan": "Manhattan"}
_SECONDS = 60
_LARGEST = 1 << 64


class Qdrant(Sink):
    """A collection; ids that are whole numbers or UUIDs are its own, of others a UUID is made."""

    takes = ("float32", "float16")

    def __init__(self, address: str) -> None:
        where, mark, name = address.rpartition("#")
        self.shown = f"qdrant:{shown(where) if '://' in where else where}#{name}"
        if not mark or not where:
            raise ConfigError(f"to 'qdrant:{shown(address)}': must be qdrant:PATH#COLLECTION or qdrant:URL#COLLECTION")
        self._name = check_name(name, self.shown, "the collection")
        self._url = where if "://" in where else None
        if self._url and (urlsplit(where).scheme not in ("http", "https") or "@" in where or "?" in where):
            raise ConfigError(f"{self.shown}: must be http:// or https:// and no more; a key is taken from {_KEY}")
        self._folder = local_path(where)
        key = os.environ.get(_KEY) or None
        self.secrets = (key,) if key else ()
        self._library = require("qdrant_client", extra="qdrant")
        self._models = require("qdrant_client.models", extra="qdrant")
        self._client: Any = None
        self._key = key

    def found(self) -> MadeBy | None:
        with self.told():
            if self._url is None and not self._is_store():
                return None
            if not self._connected().collection_exists(self._name):
                return None
            metadata = self._connected().get_collection(self._name).config.metadata or {}
        return self.read_mark(metadata.get(_MARK))

    def counts(self) -> Mapping[str, int]:
        with self.told():
            found = self._connected().facet(self._name, SHARD, limit=_MOST_SHARDS, exact=True)
            return {str(hit.value): int(hit.count) for hit in found.hits}

    def begin(self, what: Finished, *, replace: bool) -> None:
        with self.told():
            client = self._connected()
            if replace:
                client.delete_collection(self._name)
            vectors = self._models.VectorParams(
                size=what.width,
                distance=_DISTANCES[what.similarity],
                datatype=what.made_by.output_type,
            )
            client.create_collection(self._name, vectors_config=vectors, metadata={_MARK: self.mark(what)})
            if self._url:  # facets need it; the embedded mode says that it has none
                client.create_payload_index(self._name, SHARD, field_schema="keyword")

    def add(self, what: Finished, record: ShardRecord, *, again: bool) -> None:
        models = self._models
        with self.told():
            if again:
                match = models.FieldCondition(key=SHARD, match=models.MatchValue(value=key_of(record)))
                self._connected().delete(self._name, models.Filter(must=[match]), wait=True)
            for batch in what.batches(record, rows_at_once(what, _NUMBERS)):
                payloads = batch.drop_columns([EMBEDDING]).to_pylist()
                points = models.Batch(
                    ids=[_point(payload[what.id_column]) for payload in payloads],
                    vectors=vectors_of(batch, what.width).tolist(),
                    payloads=payloads,
                )
                self._connected().upsert(self._name, points, wait=True)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _is_store(self) -> bool:
        """Tell whether the folder is one of the embedded mode. Raises OutputError where it is anything else."""
        check_links(self._folder)
        if not self._folder.exists():
            return False
        if not self._folder.is_dir():
            raise OutputError(f"{self.shown}: {self._folder} is not a folder")
        if (self._folder / "meta.json").is_file():
            return True
        if any(self._folder.iterdir()):
            raise OutputError(f"{self.shown}: {self._folder} holds something else than Qdrant's collections")
        return False

    def _connected(self) -> Any:
        if self._client is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions that differ, and of a key without TLS
                if self._url:
                    self._client = self._library.QdrantClient(
                        url=self._url, api_key=self._key, timeout=_SECONDS, check_compatibility=False
                    )
                else:
                    self._client = self._library.QdrantClient(path=str(self._folder))
        return self._client


def _point(value: object) -> int | str:
    """Return the id of a point: an unsigned whole number or a UUID, which is all that Qdrant takes."""
    if isinstance(value, int) and 0 <= value < _LARGEST:
        return value
    text = str(value)
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mirrorkit:{text}"))
