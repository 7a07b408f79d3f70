"""Search a file or folder by meaning: read it, encode it once, and find what is most like a query."""

from __future__ import annotations

from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.finding.index import Hit, Index
from mirrorkit.finding.passages import read_passages
from mirrorkit.progress import Progress, Silent
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.reading import Reading

MOST = 1000  # hits of a query


class TextSearch:
    """The texts of a file or folder, encoded by a bundle, to be searched.

    `path` is a text, csv, tsv, json, jsonl, parquet or arrow file, or a folder of .txt and .md files. `unit` says what
    is found: `line`, `paragraph` or `document`; None is paragraph for a folder and a Markdown file, else line, which is
    a row of the other kinds. Blank ones are left out. Passages get the bundle's prompt `document` (or `passage`, or
    `corpus`), queries its prompt `query`, where it has them. Vectors are kept in the user's cache folder
    (`mirrorkit/search`), under the encoder's fingerprint, beside hashes of their texts: the next time only what has
    changed is encoded.

    The search looks at every vector, up to 100,000 of them. Beyond that a graph is made, once, and searched, with the
    extra `ann` (usearch): it may miss a few of the best; `exact=True` does without.

    `text_column`, `delimiter`, `encoding` and `header` say how the file is read, as for `encode_file`; `variant`,
    `threads` and `revision` are those of `Encoder`. Threads may share it.

    Raises CorpusError for what cannot be read or has nothing to search, ConfigError, and what `Encoder` raises.

    >>> from mirrorkit import TextSearch
    >>> found = TextSearch("bundle", "corpus.txt").find("somebody makes music", 3)
    >>> len(found), found[0].score >= found[1].score >= found[2].score
    (3, True)
    """

    def __init__(
        self,
        bundle: str | Path,
        path: str | Path,
        *,
        variant: str = "auto",
        unit: str | None = None,
        text_column: str | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        exact: bool = False,
        threads: int | None = None,
        revision: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._exact, self._threads = exact, threads
        reading = Reading((text_column,) if text_column else None, delimiter, encoding, header)
        self._passages = read_passages(path, reading, unit)
        self._open(Encoder(bundle, variant, threads=threads, revision=revision), progress)

    def _open(self, encoder: Encoder, progress: Progress | None) -> None:
        progress = progress or Silent()
        progress.phase("encoding what is searched")
        self.encoder = encoder
        self._index = Index(encoder, self._passages, progress, exact=self._exact)
        self.encoded = self._index.encoded  # texts that had to be encoded now
        self.exact = self._index.exact  # whether every vector is looked at

    def with_bundle(
        self,
        bundle: str | Path,
        *,
        variant: str = "auto",
        revision: str | None = None,
        progress: Progress | None = None,
    ) -> TextSearch:
        """Return a search of the same texts by another bundle, to compare the two.

        >>> from mirrorkit import TextSearch
        >>> tuned = TextSearch("bundle", "corpus.txt", variant="int8")
        >>> tuned.with_bundle("bundle", variant="fp32").find("music")[0].text == tuned.find("music")[0].text
        True
        """
        other = object.__new__(type(self))
        other._exact, other._threads, other._passages = self._exact, self._threads, self._passages
        other._open(Encoder(bundle, variant, threads=self._threads, revision=revision), progress)
        return other

    @property
    def understood(self) -> str:
        """What the file was taken for, and how much is in it, in a line for people."""
        return self._passages.understood

    def __len__(self) -> int:
        return len(self._passages.every)

    def find(self, query: str, count: int = 10) -> list[Hit]:
        """Return the `count` texts most like `query`, best first; of equals the one that stands first.

        Raises ConfigError for a blank query, and for a count that is not from 1 to 1,000; TypeError for no string.

        >>> from mirrorkit import TextSearch
        >>> search = TextSearch("bundle", "handbook.jsonl")
        >>> [hit.row or hit.line for hit in search.find("a note of my doctor for the third day", 1)]
        [2]
        """
        check_query(query, count)
        (vector,) = self.encoder.encode_query([query])
        return self._index.find(vector, count)


def check_query(query: str, count: int) -> None:
    """Raise ConfigError for what nothing can be found by."""
    if isinstance(query, str) and not query.strip():
        raise ConfigError("`query` must not be blank")
    if not 1 <= count <= MOST:
        raise ConfigError(f"count {count}: must be from 1 to {MOST:,}")
