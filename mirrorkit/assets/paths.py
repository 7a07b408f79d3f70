"""Where each shipped file lies: the only place that knows."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parent
TINY = ASSETS / "tiny-mlm"
GRADED = ASSETS / "graded.tsv"
CALIBRATION = ASSETS / "calibration.txt"
GATE = ASSETS / "gate.toml"
BENCH_SCHEMA = ASSETS / "bench.schema.json"
DOCUMENTS = ASSETS / "documentation" / "documents.jsonl.gz"
SENTENCES = ASSETS / "wordnet" / "sentences.txt.gz"
HELD_OUT = ASSETS / "documentation" / "held-out.jsonl.gz"
