"""The official Mirror-BERT recipes and our own, and which of them fits a base and a corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from mirrorkit.errors import ConfigError
from mirrorkit.formats.pooling import Pooling
from mirrorkit.training.recipe import AUTO, Changes, Recipe, changed
from mirrorkit.training.text_kind import TextKind, kind_of
from mirrorkit.training.view_choice import CountTokens, Views, crop_tokens, is_mixed, settled

AUTO_WORDS, AUTO_SENTENCES = "auto-words", "auto-sentences"  # `auto` where the user says what the strings are
OWN = "own"  # what a Recipe made in Python is called
_PAIRS = 2_000  # that `auto` trains on, drawn from what there is; see auto_recipe and for_crops
_WORD_PAIRS = 20_000  # at most, where the strings are words; twice the 10,000 words of the official recipe
_CROP = "30,250"  # of documents, where there are no shorter strings beside them
_SHORTEST = 16  # tokens that a crop is cut to, at the least
_SMALL = 512  # dimensions of the widest model that is trained at a larger rate


_SENTENCE_BERT = Recipe(pooling=Pooling.MEAN_PADDED)
_SENTENCE_ROBERTA = Recipe(pooling=Pooling.CLS)
_WORD = Recipe(epochs=2, max_length=25, temperature=0.2, span_mask=0, pooling=Pooling.CLS)

# From scripts/ and train.py of cambridgeltl/mirror-bert. There is no official script for words with RoBERTa:
# word-roberta is word-bert, whose values the paper gives for both.
OFFICIAL: Mapping[str, Recipe] = {
    "sentence-bert": _SENTENCE_BERT,
    "sentence-bert-drophead": dataclasses.replace(_SENTENCE_BERT, dropout=0.0, drophead=0.2),
    "sentence-roberta": _SENTENCE_ROBERTA,
    "sentence-roberta-drophead": dataclasses.replace(_SENTENCE_ROBERTA, dropout=0.0, drophead=0.05),
    "word-bert": _WORD,
    "word-roberta": _WORD,
}


_AUTOMATIC = (AUTO, AUTO_WORDS, AUTO_SENTENCES)


def check(recipe: str | Recipe, changes: Changes) -> None:
    """Raise ConfigError for an unknown recipe, an unknown hyper-parameter or a value out of its range."""
    if not isinstance(recipe, Recipe) and recipe not in (*_AUTOMATIC, *OFFICIAL):
        raise ConfigError(f"recipe {recipe!r}: must be one of {', '.join([*_AUTOMATIC, *OFFICIAL])}")
    known = [field.name for field in dataclasses.fields(Recipe)]
    if unknown := [name for name in changes if name not in known]:
        raise ConfigError(f"unknown parameter {unknown[0]!r}; the hyper-parameters are {', '.join(known)}")
    changed(Recipe(), changes)


def choose(
    recipe: str | Recipe,
    *,
    width: int,
    own_pooling: str | None = None,
    texts: Sequence[str],
    changes: Changes,
    pairs: bool = False,
    own_loss: bool = False,
    taught: bool = False,
    count_tokens: CountTokens | None = None,
) -> Recipe:
    """Return the recipe, by its name or as given, with those of the changes that are not None.

    What `auto` means depends on `width` (the model's hidden size), on the pooling that the base came with, if it came
    with one, and on whether `texts` are words, sentences or documents, whose crops `count_tokens` measures; `pairs`
    have their second view already, an `own_loss` is not NT-Xent, and who is `taught` follows a teacher besides. Views
    that are `auto` are settled here; in views of the user's own nothing is masked but what the changes ask for. Raises
    ConfigError as `check` does.
    """
    check(recipe, changes)
    own = recipe if isinstance(recipe, Recipe) else OFFICIAL.get(recipe)
    asked = changed(own or Recipe(views=Views.AUTO), changes)
    views = Views.IDENTITY if pairs else settled(asked.views, asked.crop_range, texts)
    if own is None:
        words = views is not Views.CROP and settled_kind(recipe, texts).words
        plain = auto_recipe(width, own_pooling, words=words)
        if views is Views.CROP:
            mixed = is_mixed(asked.crop_range, texts)
            plain = for_crops(plain, width, gently=own_pooling is not None, mixed=mixed)
            if count_tokens:
                tokens = crop_tokens(changed(plain, {"crop": changes.get("crop")}).crop_range, texts, count_tokens)
                plain = dataclasses.replace(plain, max_length=max(tokens, _SHORTEST))
        elif views is Views.IDENTITY and not pairs and not words and own_pooling is None and width <= _SMALL:
            plain = for_identity(plain, changes, own_loss=own_loss, taught=taught)
        asked = changed(plain, changes)
        if not asked.seconds and changes.get("steps") is None and changes.get("epochs") is None:
            asked = dataclasses.replace(asked, steps=_steps(asked, len(texts)))
    if views is Views.OWN and changes.get("span_mask") is None:
        asked = dataclasses.replace(asked, span_mask=0)
    return dataclasses.replace(asked, views=views)


def _steps(recipe: Recipe, strings: int) -> int:
    """Return the steps of `auto`; 0 where the epochs of the recipe for words are fewer."""
    if recipe.epochs == 1:
        return max(1, round(_PAIRS / recipe.batch_size))
    return round(_WORD_PAIRS / recipe.batch_size) if strings * recipe.epochs > _WORD_PAIRS else 0


def for_crops(recipe: Recipe, width: int, *, gently: bool, mixed: bool) -> Recipe:
    """Return the recipe of `auto` for documents, which is that for sentences changed; `choose` settles their length.

    Nothing is masked, since two crops differ enough, unless the corpus is `mixed`: what is no document is its own
    second view and needs the mask (79.5 against 78.1 on the graded pairs, three seeds, and as good a search). Chosen
    with a model of 384 on documentation that was held out: 32 batches of 64 find more than 10 of 200, which cost as
    much, and than 64 of 32, and need half the memory. A base that is to be trained `gently` keeps its own rate, twice
    which was no worse with the others, and wider models were not tried. Crops from 30 characters on find more than
    crops from 100 on, in less time, and tell more sentences apart (stsb-dev, sts16); of a `mixed` corpus they cut the
    sentences too, and find less. What pays on sentences, as `for_identity` has it, does not here.
    """
    return dataclasses.replace(
        recipe,
        batch_size=64,
        learning_rate=recipe.learning_rate if gently else 2 * _rate(width),
        span_mask=Recipe.span_mask if mixed else 0,
        crop=Recipe.crop if mixed or gently else _CROP,
    )


def for_identity(recipe: Recipe, changes: Changes, *, own_loss: bool, taught: bool) -> Recipe:
    """Return the recipe of `auto` for sentences that are their own second view, for a masked LM up to 512 wide.

    Chosen on stsb-dev, sts16 and the shipped graded pairs with a model of 384 and sentences_10k.txt, at 2,000 pairs
    (benchmarks/ladder.md): the words of half of the second views in another order, in place of the mask; the positive
    left out of the denominator, with which a small batch is enough: 31 steps of 64 give more than 10 of 200 at twice
    the rate, which cost as much; a harder temperature, which pays in small batches; the mean of the weights of the last
    half of the steps, which takes their noise away. Who is `taught` keeps large batches, in which there is more to
    compare, and three times the rate: 0.4 points more on stsb-dev and 0.2 on sts16 than twice, three seeds. LoRA has no
    mean of weights, and a loss of the user's own has its own denominator.
    """
    recipe = dataclasses.replace(
        recipe, shuffle=0.5, decoupled=not own_loss, average_last=0.0 if changes.get("lora") else 0.5
    )
    if taught:
        return dataclasses.replace(recipe, learning_rate=3 * recipe.learning_rate)
    return dataclasses.replace(recipe, batch_size=64, temperature=0.05)


def settled_kind(recipe: str | Recipe, texts: Sequence[str]) -> TextKind:
    """Return what the strings are: what the name of the recipe says, else what they look like."""
    if recipe in (AUTO_WORDS, AUTO_SENTENCES):
        return TextKind(recipe == AUTO_WORDS, f"{recipe.removeprefix('auto-')}, as asked")  # type: ignore[union-attr]
    return kind_of(texts)


def told_kind(recipe: str | Recipe, settings: Recipe, texts: Sequence[str]) -> str | None:
    """Return for people what `auto` took the strings for, and why; None for a recipe that does not ask."""
    if isinstance(recipe, Recipe) or recipe in OFFICIAL:
        return None
    return "documents" if settings.views is Views.CROP else settled_kind(recipe, texts).why


def auto_recipe(width: int, own_pooling: str | None, *, words: bool) -> Recipe:
    """Choose by the model's width and by whether the strings are words or sentences.

    For models up to 512 wide the sentence values were chosen on the STS-B development set with a model of 384: a larger
    rate, a softer temperature and a longer mask than the official ones. Wider models get the official values, which
    were chosen for a base-sized model; only the pooling differs, a mean without the padding. A base that is a sentence
    encoder already, as its pooling tells, is trained gently and pulled back towards where it started. Sentences give
    what they have to give in 2,000 pairs, which `choose` turns into steps: with text of another kind than the task's,
    more of them lose it again. Words keep the official temperature and length: one seed on pairs and synonyms of
    WordNet showed nothing better (benchmarks/studies.md).
    """
    small, gently = width <= _SMALL, own_pooling is not None
    pooling = own_pooling or Pooling.MEAN
    if words:
        return dataclasses.replace(_WORD, learning_rate=_rate(width), pooling=pooling)
    soft = Recipe(pooling=pooling, temperature=0.07, span_mask=10) if small else Recipe(pooling=pooling)
    return dataclasses.replace(soft, blend=AUTO) if gently else dataclasses.replace(soft, learning_rate=_rate(width))


def _rate(width: int) -> float:
    return 1e-4 if width <= _SMALL else 2e-5


def listing() -> dict[str, Recipe]:
    """Return every recipe by name; `auto` as it is for each kind of text, with a small and a base-sized model."""
    kinds = {"sentences": "a sentence of more than three words", "words": "word", "documents": "many words " * 50}
    own = {
        f"auto ({kind}, {size})": choose(AUTO, width=width, texts=[text], changes={})
        for kind, text in kinds.items()
        for size, width in (("small", 384), ("base", 768))
    }
    return {**own, **OFFICIAL}
