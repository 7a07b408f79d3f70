"""Fine-tunes end to end in scripts that are not Latin, with one vocabulary of thirty languages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import SentenceEncoder, finetune
from mirrorkit.text.scripts import is_unspaced
from mirrorkit.training.pairs import Pairs
from mirrorkit.training.view_ids import tokenise_views
from tests.text.languages import LANGUAGES, texts


def several(language: str) -> list[str]:
    """Return 27 different sentences of a language: its three, joined by twos and threes."""
    one = texts(language, "sentences")
    gap = "" if is_unspaced(one[0]) else " "
    return [
        *one,
        *(f"{a}{gap}{b}" for a in one for b in one if a != b),
        *(gap.join((a, b, a)) for a in one for b in one),
    ]


@pytest.fixture(scope="module")
def multilingual(tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny random XLM-R with a vocabulary of pieces from all thirty languages."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, trainers

    folder = tmp_path_factory.mktemp("multilingual") / "base"
    shutil.copytree(tiny_random("xlm-roberta"), folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.model = models.Unigram()
    trainer = trainers.UnigramTrainer(vocab_size=2_500, special_tokens=special, unk_token="<unk>", show_progress=False)
    every = [
        text for language in LANGUAGES for kind in ("words", "phrases", "sentences") for text in texts(language, kind)
    ]
    tokenizer.train_from_iterator(every * 2, trainer)
    from tokenizers.processors import TemplateProcessing

    ends = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = transformers.AutoConfig.from_pretrained(folder)
    config.vocab_size = tokenizer.get_vocab_size()
    config.bos_token_id, config.pad_token_id, config.eos_token_id = 0, 1, 2
    with torch.random.fork_rng():
        torch.manual_seed(1)
        transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("language", ["Thai", "Japanese", "Chinese", "Arabic"])
def test_a_corpus_in_another_script(multilingual: Path, tmp_path: Path, language: str) -> None:
    corpus = several(language)
    file = tmp_path / "corpus.csv"
    file.write_text("id;text\n" + "".join(f"{i};{text}\n" for i, text in enumerate(corpus)), encoding="utf-8")
    result = finetune(multilingual, file, tmp_path / "out", steps=2, batch_size=8, device="cpu", autocast="fp32")
    assert result.corpus.texts == list(dict.fromkeys(corpus))
    assert result.kind is not None
    assert result.kind.startswith("sentences: the middle string has ")
    assert (result.recipe.temperature, result.recipe.span_mask, result.stats.steps) == (0.05, 10, 2)
    vectors = SentenceEncoder.load(tmp_path / "out").encode(corpus[:9])  # longer ones are cut, to the same tokens
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors.round(5), axis=0)) == 9


@pytest.mark.parametrize("language", ["Thai", "Lao", "Khmer", "Burmese", "Tibetan", "Japanese", "Chinese", "Arabic"])
def test_the_tokens_of_both_views(multilingual: Path, tmp_path: Path, language: str) -> None:
    from mirrorkit.training.recipes import choose

    encoder = SentenceEncoder.load(multilingual)
    mask, unknown = encoder.tokenizer.mask_token_id, encoder.tokenizer.unk_token_id
    corpus = list(dict.fromkeys(several(language)))
    recipe = choose("auto", width=384, texts=corpus, changes={"shuffle": 0.0})
    views, _ = tokenise_views(encoder, Pairs(corpus, corpus, None), recipe, np.random.default_rng(0))
    counted, enough = 0, 10 if language in ("Chinese", "Japanese") else 30
    for i, text in enumerate(corpus):
        plain, masked = views[i].tolist(), views[len(corpus) + i].tolist()
        assert unknown not in plain
        assert mask not in plain
        if len(text) < enough or len(plain) == recipe.max_length:
            continue  # too short to be masked, or cut, perhaps before the mask
        assert masked.count(mask) == 1
        place = masked.index(mask)
        counted += 1
        if is_unspaced(text):
            behind = len(masked) - place - 1
            assert masked[:place] == plain[:place]  # the pieces beside the mask are those of the whole text
            assert masked[place + 1 :] == plain[len(plain) - behind :]
            assert 1 <= len(plain) - place - behind < len(plain) - 2
    assert counted >= 3
