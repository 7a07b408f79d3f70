"""What a model is scored on: the seven STS sets, and whatever other files of the paper's tables are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.reproduce.models import STS_AVERAGE
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.bli import Lexicon, read_lexicon, score_lexicon
from mirrorkit.evaluation.entities import Linking, read_linking, score_linking
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.multisimlex import read_multisimlex
from mirrorkit.evaluation.pairs import GradedPairs, TextEncoder, score_pairs
from mirrorkit.evaluation.qnli import QuestionPairs, read_qnli, score_qnli
from mirrorkit.evaluation.sts import StsReport, read_tasks
from mirrorkit.paths import local_path


@dataclass(frozen=True)
class Given:
    """The paths that were given, as JSON keeps them."""

    sts: str | None = None
    multisimlex: str | None = None
    lexical: Sequence[str] = ()
    qnli: Sequence[str] = ()
    bli: Sequence[str] = ()
    entities: Sequence[str] = ()  # NAMES,MENTIONS
    crosslingual: Sequence[str] = ()


@dataclass(frozen=True)
class Sets:
    """The same, read."""

    sts: list[GradedPairs]
    words: list[GradedPairs]
    crosslingual: list[GradedPairs]
    questions: list[QuestionPairs]
    lexicons: list[Lexicon]
    linking: list[Linking]


def read(given: Given) -> Sets:
    """Read every file; raises CorpusError naming the file, ConfigError where there is nothing to score on."""
    if not any(dataclasses.astuple(given)):
        raise ConfigError("give --sts, --multisimlex or another set: without them nothing is scored")
    words = [dataclasses.replace(pairs, name=f"lexical {pairs.name}") for pairs in map(read_word_pairs, given.lexical)]
    if given.multisimlex:
        found = read_multisimlex(given.multisimlex)
        words += [dataclasses.replace(one, name=one.name.replace("multisimlex-", "Multi-SimLex ")) for one in found]
    crossing = [read_pairs(local_path(file), score_column=None) for file in given.crosslingual]
    return Sets(
        sts=read_tasks(given.sts) if given.sts else [],
        words=words,
        crosslingual=[dataclasses.replace(one, name=f"cross-lingual {one.name}") for one in crossing],
        questions=[read_qnli(file) for file in given.qnli],
        lexicons=[read_lexicon(file) for file in given.bli],
        linking=[_linking(both) for both in given.entities],
    )


def _linking(both: str) -> Linking:
    names, comma, mentions = both.partition(",")
    if not comma:
        raise ConfigError(f"entities {both!r}: must be two files with a comma between, NAMES,MENTIONS")
    return read_linking(names, mentions)


def score(encoder: TextEncoder, sets: Sets) -> dict[str, float]:
    """Return the rows of the table: Spearman × 100 of graded pairs, the others by the measure that they are called."""
    rows: dict[str, float] = {}
    if sets.sts:
        report = StsReport(score_pairs(encoder, sets.sts))
        rows |= {f"STS {name}": found.spearman for name, found in report.tasks.items()} | {STS_AVERAGE: report.average}
    for pairs in (sets.words, sets.crosslingual):
        rows |= {name: found.spearman for name, found in (score_pairs(encoder, pairs) if pairs else {}).items()}
    for questions in sets.questions:
        answered = score_qnli(encoder, questions)
        rows |= {f"QNLI {questions.name} accuracy": answered.accuracy, f"QNLI {questions.name} AUC": answered.auc}
    for lexicon in sets.lexicons:
        for name, ranked in (("cosine", (led := score_lexicon(encoder, lexicon)).cosine), ("CSLS", led.csls)):
            rows[f"BLI {lexicon.name} accuracy@1, {name}"] = ranked.accuracy_at_1
            rows[f"BLI {lexicon.name} MRR, {name}"] = ranked.mrr
    for linking in sets.linking:
        linked = score_linking(encoder, linking)
        rows[f"entities {linking.name} accuracy@1"] = linked.accuracy_at_1
        rows[f"entities {linking.name} accuracy@5"] = linked.accuracy_at_5
    return rows
