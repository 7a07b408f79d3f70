"""PostgreSQL with pgvector: a table, filled by COPY. Each shard is one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from mirrorkit.cluster.finished import SHARD, Finished, key_of
from mirrorkit.cluster.job import EMBEDDING
from mirrorkit.cluster.places import shown
from mirrorkit.cluster.records import MadeBy, ShardRecord
from mirrorkit.cluster.sinks.sink import Sink, check_name, rows_at_once, vectors_of
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.extras import require

_NUMBERS = 1 << 21  # in a batch
_VECTORS = {"float32": ("vector", 16_000), "float16": ("halfvec", 16_000)}  # type, and its most dimensions
_TYPES = {
    "string": "text",
    "large_string": "text",
    "bool": "boolean",
    "int8": "smallint",
    "uint8": "smallint",
    "int16": "smallint",
    "uint16": "integer",
    "int32": "integer",
    "uint32": "bigint",
    "int64": "bigint",
    "float": "real",
    "double": "double precision",
    "date32[day]": "date",
    "timestamp[s]": "timestamp",
    "timestamp[ms]": "timestamp",
    "timestamp[us]": "timestamp",
}


class Postgres(Sink):
    """A table; what made its vectors is in its comment."""

    takes = tuple(_VECTORS)

    def __init__(self, address: str) -> None:
        self._url, _, name = address.partition("#")
        self.shown = f"{shown(self._url)}#{name}"
        self._name = check_name(name, self.shown, "the table")
        if self._name.count(".") > 1:
            raise ConfigError(f"{self.shown}: the table must be TABLE or SCHEMA.TABLE")
        self.secrets = _secrets(self._url)
        self._psycopg = require("psycopg", extra="pgvector")
        self._sql = require("psycopg.sql", extra="pgvector")
        self._pgvector = require("pgvector", extra="pgvector")
        self._types = require("pgvector.psycopg", extra="pgvector")
        self._table = self._sql.Identifier(*self._name.split("."))
        self._connection: Any = None

    def check(self, what: Finished) -> None:
        super().check(what)
        if what.width > _VECTORS[what.made_by.output_type][1]:
            raise ConfigError(f"{self.shown}: pgvector takes no vectors of {what.width:,} dimensions")
        for field in what.loaded_schema:
            if field.name != EMBEDDING and str(field.type) not in _TYPES:
                raise ConfigError(f"{self.shown}: there is no column for {field.name!r}, which is {field.type}")

    def found(self) -> MadeBy | None:
        with self.told():
            if self._connection is None:
                self._connection = self._psycopg.connect(self._url, connect_timeout=10, autocommit=True)
            there = self._connection.execute("SELECT to_regclass(%s)::oid", [self._quoted()]).fetchone()[0]
            if there is None:
                if not self._connection.execute("SELECT 1 FROM pg_type WHERE typname = 'vector'").fetchone():
                    raise OutputError(f"{self.shown}: the database has no pgvector; run: CREATE EXTENSION vector")
                return None
            comment = self._connection.execute("SELECT obj_description(%s, 'pg_class')", [there]).fetchone()[0]
        return self.read_mark(comment)

    def counts(self) -> Mapping[str, int]:
        with self.told():
            found = self._run("SELECT {shard}, count(*) FROM {table} GROUP BY {shard}")
            return dict(found.fetchall())

    def begin(self, what: Finished, *, replace: bool) -> None:
        sql = self._sql
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self._columns(what)
        )
        with self.told(), self._connection.transaction():
            if replace:
                self._run("DROP TABLE {table}")
            key = sql.Identifier(what.id_column)
            self._run("CREATE TABLE {table} ({columns}, PRIMARY KEY ({key}))", columns=columns, key=key)
            self._run("COMMENT ON TABLE {table} IS {mark}", mark=sql.Literal(self.mark(what)))

    def add(self, what: Finished, record: ShardRecord, *, again: bool) -> None:
        columns = self._columns(what)
        place = [name for name, _ in columns].index(EMBEDDING)
        vector = self._pgvector.HalfVector if what.made_by.output_type == "float16" else self._pgvector.Vector
        names = self._sql.SQL(", ").join(self._sql.Identifier(name) for name, _ in columns)
        into = self._sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT BINARY)").format(self._table, names)
        with self.told(), self._unique_ids(), self._connection.transaction():
            self._types.register_vector(self._connection)
            if again:
                self._run("DELETE FROM {table} WHERE {shard} = {key}", key=self._sql.Literal(key_of(record)))
            with self._connection.cursor() as cursor, cursor.copy(into) as copy:
                copy.set_types([kind.partition("(")[0] for _, kind in columns])
                for batch in what.batches(record, rows_at_once(what, _NUMBERS)):
                    values = [column.to_pylist() for i, column in enumerate(batch.columns) if i != place]
                    values.insert(place, [vector(row) for row in vectors_of(batch, what.width)])
                    for row in zip(*values, strict=True):
                        copy.write_row(row)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def _unique_ids(self) -> Iterator[None]:
        try:
            yield
        except self._psycopg.errors.UniqueViolation as err:
            raise OutputError(f"{self.shown}: an id must occur once ({err.diag.message_detail})") from None

    def _columns(self, what: Finished) -> list[tuple[str, str]]:
        vector = f"{_VECTORS[what.made_by.output_type][0]}({what.width})"
        return [(f.name, vector if f.name == EMBEDDING else _TYPES[str(f.type)]) for f in what.loaded_schema]

    def _quoted(self) -> str:
        return str(self._table.as_string(self._connection))

    def _run(self, statement: str, **parts: Any) -> Any:
        shard = self._sql.Identifier(SHARD)
        return self._connection.execute(self._sql.SQL(statement).format(table=self._table, shard=shard, **parts))


def _secrets(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    password = login.partition(":")[2]
    found = [url, login, password, unquote(password), os.environ.get("PGPASSWORD", "")]
    found += [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
    return tuple(filter(None, found))
