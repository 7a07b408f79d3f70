"""What a run over a folder of shards came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ShardsResult:
    """How far a folder of shards is, or a part of it, and what this run did for it.

    >>> from mirrorkit import encode_shards
    >>> result = encode_shards("bundle", "texts/*.jsonl", "vectors", id_column="id")
    >>> result.shards, result.done, result.rows, result.complete
    (3, 3, 480, True)
    """

    out: str
    variant: str
    fingerprint: str  # of the encoder, see `Encoder.fingerprint`
    dim: int
    shards: int  # that there are in all
    done: int
    missing: int
    stale: int  # of inputs that have changed, or made by another encoder
    failed: int  # whose inputs could not be read
    rows: int  # in the shards that are done
    skipped: int  # rows of the input that are not, as they could not be read or encoded
    bytes: int
    encoded: int  # rows that this run encoded
    finished: bool  # whether all is held against its record and the manifest is written
    seconds: float
    faults: tuple[str, ...] = ()  # what was wrong with the first rows and files that were left out

    @property
    def complete(self) -> bool:
        """Whether all inputs are in the output."""
        return self.finished and not self.failed

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what a person wants to read of it."""
        speed = f", {self.encoded:,} of them now, {self.encoded / self.seconds:.0f} texts/s" if self.encoded else ""
        counts = {"missing": self.missing, "stale": self.stale, "unreadable": self.failed}
        others = "".join(f", {count:,} {what}" for what, count in counts.items() if count)
        skipped = f"{self.skipped:,} left out; " if self.skipped else ""
        left_out = [f"left out: {fault}" for fault in self.faults]
        return [
            f"{self.out}: {self.done:,} of {self.shards:,} shards done{others}",
            f"{self.rows:,} texts{speed}; {skipped}{self.dim} dimensions, {self.variant}",
            *left_out,
            *(["finished: _manifest.json, _SUCCESS"] if self.complete else []),
        ]
