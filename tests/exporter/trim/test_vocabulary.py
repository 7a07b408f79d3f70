"""A trimmed vocabulary: the corpus keeps its vectors, any text still encodes, and what it costs is held to limits."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import SentenceEncoder
from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.exporter.trim import vocabulary as trim_module
from mirrorkit.exporter.trim.gate import TrimReport
from mirrorkit.exporter.trim.vocabulary import Trim, trim_vocabulary

CORPUS = [
    "The museum opens at nine on weekdays.",
    "A photograph of the old museum, taken on a weekday",
    "Ça coûte 3,50 €, n'est-ce pas ?",
    "tabs\tand the 東京 museum",
]
WORDPIECE = ["bert", "distilbert", "mpnet", "electra"]
UNIGRAM = ["xlm-roberta", "albert", "deberta-v2"]
BPE = ["roberta", "modernbert"]
LOOSE = {"cosine_mean": -1.0, "graded_drop": 200.0}  # random weights have no meaning to lose

Make = Callable[[str], Path]


def written(folder: Path, texts: list[str]) -> Path:
    file = folder / "corpus.txt"
    file.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return file


def pieces(encoder: SentenceEncoder, texts: list[str], max_length: int | None = None) -> list[list[str]]:
    ids = encoder.tokenize(texts, max_length)
    return [encoder.tokenizer.convert_ids_to_tokens(ids[i].tolist()) for i in range(len(ids))]


def vocabulary(encoder: SentenceEncoder) -> dict[str, int]:
    return dict(encoder.tokenizer.get_vocab())


def fuzz(encoder: SentenceEncoder, count: int) -> list[str]:
    """Return words of known and unknown characters, of real pieces glued together, and of corpus words cut up."""
    draw = random.Random(3)
    entries = [piece.removeprefix("##").replace("▁", " ").replace("Ġ", " ") for piece in vocabulary(encoder)]
    odd = ["\u0301", "\u00df", "\u4e16", "\U0001f44d", "\u200d", "-", " ", "\t", "x" * 101]
    words = " ".join(CORPUS).split()
    makers = [
        lambda: "".join(draw.choices(entries, k=draw.randint(1, 5))),
        lambda: "".join(draw.choices([*entries, *odd], k=draw.randint(1, 8))),
        lambda: draw.choice(words)[: draw.randint(1, 9)] + draw.choice(entries),
    ]
    return [" ".join(draw.choice(makers)() for _ in range(draw.randint(1, 4))) for _ in range(count)]


@pytest.fixture(scope="module", autouse=True)
def few_texts() -> Iterator[None]:
    """Measure on few texts: what random weights score says nothing."""
    inside = vars(trim_module)
    all_of, graded = inside["verification_texts"], inside["_graded"]()
    few = replace(graded, scores=graded.scores[:9], left=graded.left[:9], right=graded.right[:9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trim_module, "_graded", lambda: few)
        patch.setattr(trim_module, "verification_texts", lambda texts, longest: all_of(texts, longest)[:60])
        yield


@pytest.fixture(scope="module", params=[*WORDPIECE, *UNIGRAM, *BPE])
def trimmed(
    request: pytest.FixtureRequest, tiny_random: Make, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SentenceEncoder, SentenceEncoder, TrimReport]:
    """Return a model of every architecture as it was and trimmed, and the report."""
    folder, corpus = tiny_random(request.param), written(tmp_path_factory.mktemp("trim"), CORPUS)
    before, after = SentenceEncoder.load(folder), SentenceEncoder.load(folder)
    return before, after, trim_vocabulary(after, Trim(corpus, limits=LOOSE))


def test_what_is_kept_and_what_is_equal(trimmed: tuple[SentenceEncoder, SentenceEncoder, TrimReport]) -> None:
    before, after, report = trimmed
    old, new = vocabulary(before), vocabulary(after)
    assert sorted(new.values()) == list(range(len(new)))
    assert len(new) < 0.8 * len(old)
    assert sorted(new, key=new.__getitem__) == [piece for piece in sorted(old, key=old.__getitem__) if piece in new]
    single = {piece for piece in old if len(piece) == 1 or (len(piece) == 3 and piece.startswith("##"))}
    used = {piece for text in pieces(before, CORPUS) for piece in text}
    more = set(new) - single - used - set(before.tokenizer.all_special_tokens)
    assert single | used | set(before.tokenizer.all_special_tokens) <= set(new)
    model = json.loads(before.tokenizer.backend_tokenizer.to_str())["model"]
    assert len(more) <= {"WordPiece": 0, "Unigram": 1, "BPE": 0.5 * len(used)}[model["type"]]  # lowest score; steps
    assert pieces(after, CORPUS) == pieces(before, CORPUS)
    np.testing.assert_array_equal(after.encode(CORPUS), before.encode(CORPUS))
    assert after.backbone.config.vocab_size == after.backbone.get_input_embeddings().num_embeddings == len(new)
    assert report.passed
    assert (report.vocabulary_before, report.vocabulary_after) == (len(old), len(new))
    width = after.backbone.get_input_embeddings().embedding_dim
    assert report.bytes_before - report.bytes_after == 4 * width * (len(old) - len(new))
    assert report.texts == len(CORPUS)
    assert report.figures["corpus_max_abs"] <= 1e-6
    assert report.figures["unchanged"] == 1
    assert report.figures["new_unknown"] == 0


def test_no_text_gets_an_unknown_token_that_had_none(
    trimmed: tuple[SentenceEncoder, SentenceEncoder, TrimReport], real_texts: list[str]
) -> None:
    before, after, _ = trimmed
    unknown = before.tokenizer.unk_token
    texts = [*CORPUS, *real_texts, *fuzz(before, 2000)]
    old, new = pieces(before, texts, 10_000), pieces(after, texts, 10_000)
    assert [text.count(unknown) for text in new] == [text.count(unknown) for text in old]
    assert sum(text != other for text, other in zip(old, new, strict=True)) > 500  # so that there is something to see
    if not any(piece.startswith("##") for piece in vocabulary(before)):
        assert ["".join(text) for text in new] == ["".join(text) for text in old]
    kept = set(vocabulary(after))
    survivors = [i for i, text in enumerate(old) if kept.issuperset(text)]
    assert [new[i] for i in survivors] == [old[i] for i in survivors]
    assert len(survivors) > len(CORPUS)
    equal = survivors[:40]
    given = [texts[i] for i in equal]
    np.testing.assert_array_equal(after.encode(given), before.encode(given))


def test_the_saved_folder_is_read_as_the_model_in_memory(
    trimmed: tuple[SentenceEncoder, SentenceEncoder, TrimReport], real_texts: list[str], tmp_path: Path
) -> None:
    before, after, _ = trimmed
    after.save(tmp_path / "model")
    read = SentenceEncoder.load(tmp_path / "model")
    assert pieces(read, real_texts) == pieces(after, real_texts)
    np.testing.assert_array_equal(read.encode(real_texts), after.encode(real_texts))
    specials = before.tokenizer.special_tokens_map
    assert read.tokenizer.special_tokens_map == specials
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["vocab_size"] == len(vocabulary(read))
    assert config["pad_token_id"] == read.tokenizer.pad_token_id
    assert read.backbone.get_input_embeddings().padding_idx == read.tokenizer.pad_token_id
    alone = read.encode(["the museum"])
    np.testing.assert_allclose(read.encode(["the museum", " ".join(CORPUS)])[:1], alone, rtol=0, atol=1e-6)


def test_another_kind_of_tokenizer_is_refused(tiny_random: Make, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_random("modernbert"), folder)
    value = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    value["model"] = {"type": "WordLevel", "vocab": value["model"]["vocab"], "unk_token": "[UNK]"}
    (folder / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")
    encoder = SentenceEncoder.load(folder)
    size = len(vocabulary(encoder))
    with pytest.raises(ConfigError, match="of this modernbert is WordLevel; only WordPiece, Unigram and BPE"):
        trim_vocabulary(encoder, Trim(written(tmp_path, CORPUS)))
    assert len(vocabulary(encoder)) == size


def test_several_corpora_are_one_and_each_must_have_text(tiny_random: Make, tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    files = [tmp_path / "en.txt", tmp_path / "fr.txt"]
    for file, texts in zip(files, (CORPUS[:2], CORPUS[2:]), strict=True):
        file.write_text("\n".join(texts), encoding="utf-8")
    one, several = (SentenceEncoder.load(tiny_random("xlm-roberta")) for _ in range(2))
    whole = trim_vocabulary(one, Trim(written(tmp_path / "both", CORPUS), limits=LOOSE))
    report = trim_vocabulary(several, Trim(files, limits=LOOSE))
    assert vocabulary(several) == vocabulary(one)
    assert report.corpus == "en.txt, fr.txt"
    assert (report.texts, report.sha256 != whole.sha256) == (len(CORPUS), True)
    files[1].write_text("\n \n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"fr\.txt: no text in it"):
        trim_vocabulary(one, Trim(files))
    unnamed: list[list[str | Path]] = [[], [""], [files[0], ""]]
    for nothing in unnamed:
        with pytest.raises(ConfigError, match="names no corpus"):
            Trim(nothing)


def test_a_corpus_of_one_word_leaves_what_spells_the_rest(tiny_random: Make, tmp_path: Path) -> None:
    for kind in ("xlm-roberta", "roberta"):
        encoder = SentenceEncoder.load(tiny_random(kind))
        report = trim_vocabulary(encoder, Trim(written(tmp_path, ["museum"]), limits=LOOSE))
        assert report.passed
        assert report.unseen_unchanged == 0


def test_how_many_unseen_texts_would_stay(tiny_random: Make, tmp_path: Path) -> None:
    """A text would if no piece of its own is its alone; of the last four, two have each other."""
    texts = ["the old museum", "opens at nine", "the museum", "the museum"]
    encoder = SentenceEncoder.load(tiny_random("bert"))
    report = trim_vocabulary(encoder, Trim(written(tmp_path, texts), limits=LOOSE))
    assert report.unseen_unchanged == 0.5


def test_lists_of_ids_in_the_configuration_and_ids_beyond_the_rows(tiny_random: Make, tmp_path: Path) -> None:
    trim = Trim(written(tmp_path, CORPUS), limits=LOOSE)
    encoder = SentenceEncoder.load(tiny_random("modernbert"))
    last = len(vocabulary(encoder)) - 1
    name = encoder.tokenizer.convert_ids_to_tokens(last)
    encoder.backbone.config.eos_token_id = [encoder.tokenizer.sep_token_id, last]
    encoder.backbone.config.bos_token_id = 5000  # as an architecture's default is
    trim_vocabulary(encoder, trim)
    new = encoder.backbone.config.eos_token_id
    assert new == [encoder.tokenizer.sep_token_id, encoder.tokenizer.convert_tokens_to_ids(name)]
    assert encoder.backbone.config.bos_token_id == 5000


def test_rows_beyond_the_tokenizer_go_and_tokens_beyond_its_model_stay(tiny_random: Make, tmp_path: Path) -> None:
    """As mDeBERTa has both: [MASK] behind its pieces, and rows that no token has."""
    import torch

    for kind in ("deberta-v2", "xlm-roberta"):
        encoder = SentenceEncoder.load(tiny_random(kind))
        encoder.tokenizer.add_tokens(["<ent>"])
        table = encoder.backbone.get_input_embeddings()
        extra = torch.randn(10, table.embedding_dim)
        padding = table.padding_idx
        weight = torch.cat([table.weight.detach(), extra])
        encoder.backbone.set_input_embeddings(torch.nn.Embedding(len(weight), len(extra[0]), padding, _weight=weight))
        encoder.backbone.config.vocab_size = len(weight)
        texts = [*CORPUS, "the <ent> museum"]
        before = encoder.encode(texts)
        report = trim_vocabulary(encoder, Trim(written(tmp_path, CORPUS), limits=LOOSE))
        assert (
            report.vocabulary_after == len(vocabulary(encoder)) == 1 + encoder.tokenizer.convert_tokens_to_ids("<ent>")
        )
        np.testing.assert_array_equal(encoder.encode(texts), before)
        encoder.save(tmp_path / kind)
        np.testing.assert_array_equal(SentenceEncoder.load(tmp_path / kind).encode(texts), before)


@pytest.mark.parametrize(("odd", "refused"), [("museum\u10da\u10d0", True), ("museum\u4e16", False)])
def test_pieces_that_could_not_be_spelled(odd: str, refused: bool, tiny_random: Make, tmp_path: Path) -> None:
    """A Chinese character is a word of its own, so that no text is cut into a piece with one inside."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_random("bert"), folder)
    file = folder / "tokenizer.json"
    value = json.loads(file.read_text(encoding="utf-8"))
    pieces_by_id = sorted(value["model"]["vocab"], key=value["model"]["vocab"].__getitem__)
    value["model"]["vocab"] = {piece: i for i, piece in enumerate([*pieces_by_id[:-1], odd])}
    file.write_text(json.dumps(value), encoding="utf-8")
    encoder, trim = SentenceEncoder.load(folder), Trim(written(tmp_path, CORPUS))
    assert odd in vocabulary(encoder)
    if refused:
        with pytest.raises(ConfigError, match=rf"the piece '{odd}' but not '##\u10da'"):
            trim_vocabulary(encoder, trim)
    else:
        trim_vocabulary(encoder, trim)
        assert odd not in vocabulary(encoder)


def test_embeddings_that_cannot_be_cut_are_refused(tiny_random: Make, tmp_path: Path) -> None:
    import torch

    corpus = Trim(written(tmp_path, CORPUS))
    encoder = SentenceEncoder.load(tiny_random("bert"))
    rows = encoder.backbone.get_input_embeddings().num_embeddings
    encoder.backbone.second = torch.nn.Embedding(rows, 4)
    with pytest.raises(ConfigError, match=rf"bert has {rows} rows in second\.weight too"):
        trim_vocabulary(encoder, corpus)
    del encoder.backbone.second
    encoder.backbone.set_input_embeddings(torch.nn.Embedding(rows - 1, 32))
    with pytest.raises(ModelError, match=f"has the id {rows - 1}, its word embeddings only {rows - 1} rows"):
        trim_vocabulary(encoder, corpus)
    encoder.backbone.set_input_embeddings(torch.nn.Linear(rows, 32))
    with pytest.raises(ConfigError, match="bert are a Linear"):
        trim_vocabulary(encoder, corpus)


def test_rare_pieces_go_where_that_is_asked_for(tiny_random: Make, tmp_path: Path) -> None:
    texts = ["the museum"] * 60 + ["a photograph of weekdays"]
    reports = []
    for count in (1, 2, 61):
        encoder = SentenceEncoder.load(tiny_random("bert"))
        reports.append(trim_vocabulary(encoder, Trim(written(tmp_path, texts), min_count=count, limits=LOOSE)))
    assert [report.figures["unchanged"] for report in reports] == [1, 60 / 61, 0]
    sizes = [report.vocabulary_after for report in reports]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[1] > sizes[2]
    assert [report.limits.unchanged for report in reports] == [1, 0.95, 0.95]
    assert [report.passed for report in reports] == [True, True, False]
    assert {problem.what for problem in reports[2].problems} == {"unchanged", "corpus_max_abs"}


@pytest.mark.parametrize(
    ("trim", "error", "named"),
    [
        ({"min_count": 0}, ConfigError, "`trim.min_count` 0"),
        ({"corpus": "-"}, ConfigError, "standard input"),
        ({"limits": {"unheard": 1.0}}, ConfigError, "unheard"),
        ({"limits": {"cosine_mean": float("nan")}}, ConfigError, "cosine_mean"),
        ({"corpus": "/no/such/file.txt"}, CorpusError, "/no/such/file.txt"),
    ],
)
def test_bad_input_is_one_clear_error(
    trim: dict[str, Any], error: type[Exception], named: str, tiny_random: Make, tmp_path: Path
) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"))
    size = len(vocabulary(encoder))
    with pytest.raises(error, match=named):
        trim_vocabulary(encoder, Trim(**{"corpus": written(tmp_path, CORPUS), **trim}))
    assert len(vocabulary(encoder)) == size


def test_a_corpus_without_text_is_refused(tiny_random: Make, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no text in it"):
        trim_vocabulary(SentenceEncoder.load(tiny_random("bert")), Trim(written(tmp_path, [" ", ""])))
