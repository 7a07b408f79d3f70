"""Hold prompts, lengths and dimensions of the runtime to sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("sentence_transformers")
pytest.importorskip("onnxscript")
import torch

from mirrorkit.errors import ConfigError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.pairwise import pairwise
from tests.bundles import make_bundle
from tests.formats.layouts import LAYOUTS
from tests.formats.making import TEXTS, Base, change

PROMPTED = "include_prompt false (INSTRUCTOR)"
LENGTHS = "everything"  # prompts with a default, a chain with a dense layer, truncated, dot product


@pytest.fixture(scope="module", params=[PROMPTED, LENGTHS])
def pair(
    request: pytest.FixtureRequest, tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Encoder, Any]:
    """Return an encoder and the same model in sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    folder = tmp_path_factory.mktemp("prompts")
    LAYOUTS[request.param].make(folder / "model", Base(tiny_random("bert")))
    other = SentenceTransformer(str(folder / "model"), device="cpu", model_kwargs={"dtype": torch.float32})
    return Encoder(make_bundle(folder / "bundle", folder / "model")), other


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)


def test_every_way_to_name_a_prompt(pair: tuple[Encoder, Any]) -> None:
    encoder, other = pair
    texts = list(TEXTS)
    close(encoder.encode(texts), other.encode(texts))
    close(encoder.encode(texts, prompt_name="long"), other.encode(texts, prompt_name="long"))
    close(encoder.encode(texts, prompt="x y: "), other.encode(texts, prompt="x y: "))
    close(encoder.encode(texts, prompt=""), other.encode(texts, prompt=""))
    close(encoder.encode_query(texts), other.encode_query(texts))
    close(encoder.encode_document(texts), other.encode_document(texts))
    close(np.concatenate(list(encoder.encode_iter(texts, chunk=3, prompt_name="query"))), encoder.encode_query(texts))
    for text in texts[:5]:  # one text takes a way of its own
        close(encoder.encode([text], prompt_name="long"), other.encode([text], prompt_name="long"))
    with pytest.raises(ConfigError, match="prompt_name 'passage': the model has document, long, query"):
        encoder.encode(texts, prompt_name="passage")


@pytest.fixture(scope="module")
def plain(tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a model folder and a bundle of it, in which prompts may be changed."""
    folder = tmp_path_factory.mktemp("plain")
    LAYOUTS["prompts without default (BGE)"].make(folder / "model", Base(tiny_random("bert")))
    return folder / "model", make_bundle(folder / "bundle", folder / "model")


@pytest.mark.parametrize(
    "prompts",
    [
        {"query": "query: ", "passage": "passage: "},
        {"query": "query: ", "corpus": "corpus: "},
        {"query": "query: ", "document": "document: ", "passage": "passage: ", "corpus": "corpus: "},
        {"query": "query: ", "document": "", "passage": "passage: "},
        {"passage": "passage: "},
        {},
    ],
)
def test_queries_and_documents_get_what_sentence_transformers_gives_them(
    prompts: dict[str, str], plain: tuple[Path, Path]
) -> None:
    from sentence_transformers import SentenceTransformer

    model, bundle = plain
    change(model / "config_sentence_transformers.json", prompts=prompts)
    change(bundle / "mirrorkit.json", prompts=prompts)
    encoder, other = Encoder(bundle), SentenceTransformer(str(model), device="cpu")
    texts = list(TEXTS[:4])
    close(encoder.encode_query(texts), other.encode_query(texts))
    close(encoder.encode_document(texts), other.encode_document(texts))


def test_dimensions_and_lengths(pair: tuple[Encoder, Any]) -> None:
    encoder, other = pair
    texts = list(TEXTS[:8])
    for dim in (4, encoder.dim):  # what the model itself cuts off is not in the graph
        close(encoder.encode(texts, truncate_dim=dim), other.encode(texts, truncate_dim=dim))
        short = encoder.encode(texts, truncate_dim=dim, normalize=True)
        close(short, other.encode(texts, truncate_dim=dim, normalize_embeddings=True))
    with pytest.raises(ConfigError, match="truncate_dim 0: must be at least 1"):
        encoder.encode(texts, truncate_dim=0)


def test_similarity_is_the_models_own(pair: tuple[Encoder, Any]) -> None:
    encoder, other = pair
    a, b = encoder.encode(TEXTS[:5]), encoder.encode(TEXTS[5:])
    close(encoder.similarity(a, b), other.similarity(a, b).numpy())


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_every_similarity_is_that_of_sentence_transformers(name: str) -> None:
    from sentence_transformers import SimilarityFunction

    random = np.random.default_rng(0)
    a, b = random.normal(size=(5, 8)).astype(np.float32), random.normal(size=(3, 8)).astype(np.float32)
    theirs = SimilarityFunction.to_similarity_fn(name)(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(pairwise(a, b, name), theirs, atol=1e-5)
