"""Trim models whose tokenizers are of real size, in many languages, and print what it gave and whether all of it holds.

    python -m tests.exporter.trim.real WORK [--locale /usr/share/locale] [--pieces 40000]

The texts are the messages of the programs of this machine in 14 languages: three of four train the tokenizers, the
corpora are German and French ones among those, and the rest is held out. Weights are random but for their shapes.
"""

from __future__ import annotations

import argparse
import gettext
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from mirrorkit import SentenceEncoder
from mirrorkit.exporter.trim.vocabulary import Trim, trim_vocabulary
from tests.cpp.strings import AWKWARD, fuzz
from tests.exporter.trim.respelled import (
    byte_bpe,
    like_deberta,
    like_modernbert,
    like_qwen,
    of_random_weights,
    unigram,
)

LANGUAGES = ("de", "fr", "es", "it", "ru", "uk", "pl", "ja", "zh_CN", "ko", "vi", "tr", "el", "hi")
TRAINED_ON = 6_000  # messages a language
CORPUS = 3_000  # messages of German and as many of French
LOOSE = {"cosine_mean": -1.0, "graded_drop": 200.0}
LAYERS = {"num_hidden_layers": 2}  # their number says nothing of a vocabulary
SHAPES: dict[str, tuple[int, dict[str, Any]]] = {  # spare rows, sizes
    "xlm-roberta": (0, {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "max_position_embeddings": 514}),
    "deberta-v2": (898, {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "relative_attention": True,
                         "pos_att_type": ["p2c", "c2p"], "position_buckets": 256, "position_biased_input": False,
                         "norm_rel_ebd": "layer_norm", "share_att_key": True, "type_vocab_size": 0}),
    "roberta": (0, {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 514}),
    "modernbert": (83, {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 1152}),
    "qwen3": (267, {"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072}),
}  # fmt: skip


def messages(locale: Path, language: str) -> list[str]:
    """Return the translations into a language, as running text: those of several words, without blanks to fill in."""
    found: dict[str, None] = {}
    for file in sorted(locale.glob(f"{language}/LC_MESSAGES/*.mo")):
        try:
            with file.open("rb") as raw:
                catalog = vars(gettext.GNUTranslations(raw))["_catalog"]
        except UnicodeDecodeError:  # one that says the wrong encoding of itself
            continue
        for text in catalog.values():
            plain = re.sub(r"\s+", " ", str(text)).strip()
            if 20 < len(plain) < 300 and not re.search(r"[%<>{}\\|]|--", plain):
                found[plain] = None
    texts = sorted(found)
    random.Random(1).shuffle(texts)
    return texts


def check(kind: str, folder: Path, corpora: Sequence[Path], seen: list[str], unseen: dict[str, list[str]]) -> str:
    """Trim a model and return a row of the table; raises AssertionError where it is not as promised."""
    before, after = SentenceEncoder.load(folder), SentenceEncoder.load(folder)
    report = trim_vocabulary(after, Trim(corpora, limits=LOOSE))
    assert report.passed, report.problems
    after.save(folder.with_name(f"{kind}-trimmed"))
    old, new = (backend_of(encoder) for encoder in (before, after))
    ids = {i: new.token_to_id(token) for token, i in old.get_vocab().items()}
    others = [text for texts in unseen.values() for text in texts] + AWKWARD + list(fuzz(20_000, seed=3))
    same = survivors(old, new, ids, [*seen, *others])
    assert same.issuperset(seen)
    sample = [text for text in others if text in same][:200] + seen[:200]
    np.testing.assert_array_equal(after.encode(sample), before.encode(sample))
    kept = [sum(text in same for text in texts) / len(texts) for texts in (unseen["de"] + unseen["fr"], unseen["ja"])]
    return (
        f"| {kind} | {report.vocabulary_before:,} → {report.vocabulary_after:,} | {report.bytes_before / 1e6:.0f} → "
        f"{report.bytes_after / 1e6:.0f} | {report.unseen_unchanged:.1%} | {kept[0]:.1%} | {kept[1]:.1%} | {len(sample)} |"
    )


def survivors(old: Tokenizer, new: Tokenizer, ids: dict[int, int | None], texts: list[str]) -> set[str]:
    """Return the texts all of whose pieces are kept; assert that these have them, and that no text got lost."""
    same, wrong = set(), []
    for text, before, after in zip(texts, old.encode_batch(texts), new.encode_batch(texts), strict=True):
        mapped = [ids[i] for i in before.ids]
        if None not in mapped:
            same.add(text)
            wrong += [text] if mapped != after.ids else []
        wrong += [text] if "".join(before.tokens) != "".join(after.tokens) else []
    assert not wrong, f"{len(wrong)} of {len(texts)}, first {wrong[0]!r}"
    return same


def backend_of(encoder: SentenceEncoder) -> Tokenizer:
    """Return the tokenizer, which cuts nothing off: loading an encoder leaves a length in it."""
    backend = Tokenizer.from_str(encoder.tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    return backend


def main(work: Path, locale: Path, pieces: int, only: Sequence[str]) -> None:
    texts = {language: messages(locale, language) for language in LANGUAGES}
    print({language: len(found) for language, found in texts.items()}, flush=True)
    halves = {language: len(found) * 3 // 4 for language, found in texts.items()}
    training = [text for language, found in texts.items() for text in found[: min(TRAINED_ON, halves[language])]]
    unseen = {language: found[halves[language] :][:1000] for language, found in texts.items()}
    work.mkdir(parents=True, exist_ok=True)
    corpora = [work / "de.txt", work / "fr.txt"]
    for file in corpora:
        file.write_text("\n".join(texts[file.stem][:CORPUS]) + "\n", encoding="utf-8")
    seen = [text for file in corpora for text in file.read_text(encoding="utf-8").splitlines()]
    tokenizers = trained(work, training, pieces)
    print("| model | pieces | MB, fp32 | unchanged, expected of German and French | found | Japanese | vectors equal |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for kind, (spare, sizes) in SHAPES.items():
        if not only or kind in only:
            if not (folder := work / kind).exists():
                of_random_weights(folder, kind, tokenizers[kind], spare, **sizes, **LAYERS)
            print(check(kind, folder, corpora, seen, unseen), flush=True)


def trained(work: Path, texts: list[str], pieces: int) -> dict[str, Tokenizer]:
    """Return a tokenizer for each kind of model; the two that are trained are kept in `work`."""
    made = {}
    for name, train in (("unigram", unigram), ("bpe", byte_bpe)):
        file = work / f"{name}-{pieces}.json"
        if not file.exists():
            train(texts, pieces).save(str(file))
        made[name] = Tokenizer.from_file(str(file))
    one, other = made["unigram"], made["bpe"]
    return {
        "xlm-roberta": one,
        "deberta-v2": like_deberta(one),
        "roberta": other,
        "modernbert": like_modernbert(other),
        "qwen3": like_qwen(other),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--locale", type=Path, default=Path("/usr/share/locale"))
    parser.add_argument("--pieces", type=int, default=40_000)
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    main(given.work, given.locale, given.pieces, given.only)
