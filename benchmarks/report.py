"""Make the tables and plots of README.md and the pages beside it anew from the records in results/.

python -m benchmarks.report     # all of them
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.curves import page as curves
from benchmarks.ladder.table import ladder_section
from benchmarks.peers.report import peers_section, read_peer_records, record_stem
from benchmarks.record import README, RESULTS, page_of, read_json, update_section
from benchmarks.training.report import read_records, training_section
from benchmarks.training.step import step_section
from benchmarks.training.study_report import machine_slug, quality_section, read_studies, studies_section
from benchmarks.verdict.table import verdicts_section
from benchmarks.word_dev.table import words_section
from mirrorkit.errors import MirrorkitError
from mirrorkit.formats.json_file import read_object

SECTIONS: dict[str, Callable[[Path], str]] = {
    "train": lambda results: training_section(read_records(results)),
    "studies": lambda results: studies_section(read_studies(results)),
    "step": step_section,
    "quality": lambda results: quality_section(read_json(results, "quality_")),
    "peers": lambda results: peers_section(read_peer_records(results)),
    "verdict": verdicts_section,
    "words": words_section,
    "ladder": ladder_section,
    "curves": curves.curves_section,
}


def update(results: Path, readme: Path, sections: Sequence[str] = tuple(SECTIONS)) -> None:
    """Make those sections of the README anew, and their plots."""
    for name in sections:
        update_section(page_of(readme, name), name, SECTIONS[name](results))
    if "studies" in sections and (studies := read_studies(results)):
        from benchmarks.training.study_plot import draw as draw_studies

        for machine in dict.fromkeys(map(machine_slug, studies)):
            draw_studies([s for s in studies if machine_slug(s) == machine], results / f"studies_{machine}.png")
    if "peers" in sections:
        from benchmarks.peers.plot import draw as draw_peers

        for record in read_peer_records(results):
            draw_peers(record, results / f"{record_stem(record)}.png")
    if "curves" in sections and (results / curves.RECORD).is_file():
        curves.draw(read_object(results / curves.RECORD), results / curves.PLOT)
    quality, peers = read_json(results, "quality_"), read_peer_records(results)
    if quality and peers and {"quality", "peers"} & set(sections):
        from benchmarks.summary_plot import draw as draw_summary

        draw_summary(quality[0], peers[0], results / "summary.png")


if __name__ == "__main__":
    try:
        update(RESULTS, README)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
