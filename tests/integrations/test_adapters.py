"""Each adapter with the real library: the vectors of `Encoder`, the prompt of the side, what is saved opens again.

Run by tests/integrations/run in an environment that has the libraries; elsewhere those that are not there are skipped.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirrorkit.errors import BundleError, ConfigError, MirrorkitError, MissingExtraError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.ragged import Floats
from tests.integrations.conftest import PROMPTS, TEXTS

WITHIN = 1e-6  # of any component: texts in another batch

# Adapter -> the package that it imports first, and what its line tells to install.
LIBRARIES = {
    "bertopic": ("bertopic", "bertopic"),
    "chroma": ("chromadb", "chromadb"),
    "datasets": ("datasets", "datasets"),
    "duckdb": ("duckdb", "duckdb pyarrow"),
    "fastembed": ("fastembed", "'fastembed>=0.8'"),
    "haystack": ("haystack", "haystack-ai"),
    "keybert": ("keybert", "keybert"),
    "lancedb": ("lancedb", "lancedb"),
    "langchain": ("langchain_core", "langchain-core"),
    "llama_index": ("llama_index", "llama-index-core"),
    "llm": ("llm", "llm"),
    "sklearn": ("sklearn", "scikit-learn"),
}


def near(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, dtype=np.float32), expected, rtol=0, atol=WITHIN)


def adapter(name: str) -> Any:
    package = LIBRARIES[name][0]
    if package == "llama_index":
        package = "llama_index.core"
    pytest.importorskip(package, reason=f"needs {LIBRARIES[name][1]}")
    return importlib.import_module(f"mirrorkit.integrations.{name}")


@pytest.mark.parametrize("name", LIBRARIES)
def test_without_its_library_one_line_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package, install = LIBRARIES[name]
    for loaded in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, loaded)

    class Absent:
        def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
            if fullname.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    module = f"mirrorkit.integrations.{name}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(MissingExtraError) as caught:
        importlib.import_module(module)
    assert str(caught.value) == f"{package} is not installed; run: pip install {install}"


def test_every_adapter_is_named_here() -> None:
    folder = Path(importlib.import_module("mirrorkit.integrations").__file__ or "").parent
    assert {file.stem for file in folder.glob("*.py")} - {"__init__", "shared"} == set(LIBRARIES)


def test_a_broken_library_is_not_a_missing_one() -> None:
    from mirrorkit.integrations.shared import needs

    with pytest.raises(MirrorkitError, match="a is installed, but cannot be imported") as caught, needs("a"):
        raise ModuleNotFoundError("No module named 'other'", name="other")
    assert not isinstance(caught.value, MissingExtraError)


def test_langchain(bundle: Path, documents: Floats, queries: Floats) -> None:
    embeddings = adapter("langchain").MirrorkitEmbeddings(bundle)
    near(embeddings.embed_documents(TEXTS), documents)
    near(embeddings.embed_query(TEXTS[0]), queries[0])
    near(asyncio.run(embeddings.aembed_documents(TEXTS)), documents)
    near(asyncio.run(embeddings.aembed_query(TEXTS[1])), queries[1])
    from langchain_core.vectorstores import InMemoryVectorStore

    store = InMemoryVectorStore.from_texts(TEXTS, embeddings)
    best = int(np.argmax(documents @ queries[1]))
    assert store.similarity_search(TEXTS[1], k=1)[0].page_content == TEXTS[best]
    short = adapter("langchain").MirrorkitEmbeddings(bundle, truncate_dim=4).embed_documents(TEXTS)
    near(short, documents[:, :4] / np.linalg.norm(documents[:, :4], axis=1, keepdims=True))
    with pytest.raises(BundleError, match="expected 00000000"):
        adapter("langchain").MirrorkitEmbeddings(bundle, expect="00000000")


def test_llama_index(bundle: Path, documents: Floats, queries: Floats) -> None:
    embedding = adapter("llama_index").MirrorkitEmbedding(bundle, embed_batch_size=2)
    near(embedding.get_text_embedding_batch(TEXTS), documents)
    near(embedding.get_text_embedding(TEXTS[2]), documents[2])
    near(embedding.get_query_embedding(TEXTS[0]), queries[0])
    near(asyncio.run(embedding.aget_text_embedding_batch(TEXTS)), documents)
    near(asyncio.run(embedding.aget_query_embedding(TEXTS[1])), queries[1])
    assert embedding.model_name == "my-bundle"
    again = type(embedding).from_dict(embedding.to_dict())
    near(again.get_query_embedding(TEXTS[0]), queries[0])
    from llama_index.core import Document, VectorStoreIndex

    index = VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS], embed_model=embedding)
    (found,) = index.as_retriever(similarity_top_k=1).retrieve(TEXTS[1])
    assert found.text == TEXTS[int(np.argmax(documents @ queries[1]))]


def test_haystack(bundle: Path, documents: Floats, queries: Floats) -> None:
    module = adapter("haystack")
    from haystack import Document, Pipeline

    one, many = module.MirrorkitTextEmbedder(str(bundle)), module.MirrorkitDocumentEmbedder(str(bundle))
    near(one.run(text=TEXTS[0])["embedding"], queries[0])
    near(asyncio.run(one.run_async(text=TEXTS[1]))["embedding"], queries[1])
    given = [Document(content=text, meta={"title": "T"}) for text in TEXTS]
    for done in (many.run(documents=given), asyncio.run(many.run_async(documents=given))):
        near([document.embedding for document in done["documents"]], documents)
    assert all(document.embedding is None for document in given)
    assert many.run(documents=[])["documents"] == []
    titled = module.MirrorkitDocumentEmbedder(str(bundle), meta_fields_to_embed=["title", "no"])
    expected = Encoder(bundle).encode([f"{PROMPTS['passage']}T\n{text}" for text in TEXTS])
    near([document.embedding for document in titled.run(documents=given)["documents"]], expected)
    pipeline = Pipeline()
    pipeline.add_component("query", one)
    pipeline.add_component("titled", titled)
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["mirrorkit.integrations.haystack"])
    near(again.run({"query": {"text": TEXTS[0]}, "titled": {"documents": given}})["query"]["embedding"], queries[0])
    assert again.get_component("titled").to_dict() == titled.to_dict()
    for wrong, component in ((["a"], one), ("a", many)):
        with pytest.raises(TypeError, match=r"embedder of (its|their) own"):
            component.run(wrong)


def test_chroma(bundle: Path, plain_bundle: Path, documents: Floats, queries: Floats, tmp_path: Path) -> None:
    module = adapter("chroma")
    import chromadb

    function = module.MirrorkitEmbeddingFunction(bundle)
    near(function(TEXTS), documents)
    near(function.embed_query(TEXTS), queries)
    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(tmp_path / "db"), settings=settings)
    collection = client.create_collection("notes", embedding_function=function)
    collection.add(ids=["0", "1", "2"], documents=TEXTS)
    kept = client.get_collection("notes")  # opens the bundle by what it has kept
    near(kept.get(include=["embeddings"])["embeddings"], documents)
    best = int(np.argmax(documents @ queries[1]))
    assert kept.query(query_texts=[TEXTS[1]], n_results=1)["ids"] == [[str(best)]]
    assert kept.configuration["hnsw"]["space"] == "cosine"
    other = module.MirrorkitEmbeddingFunction(plain_bundle, variant="fp32")
    with pytest.raises(BundleError, match="has vectors of the encoder"):
        other.validate_config_update(function.get_config(), other.get_config())
    with pytest.raises(BundleError, match="on the hub; pass embedding_function"):
        module.MirrorkitEmbeddingFunction.build_from_config({**function.get_config(), "bundle": "some/body"})
    stale = {**function.get_config(), "expect": "0" * 64}
    with pytest.raises(BundleError, match="expected 0000"):
        module.MirrorkitEmbeddingFunction.build_from_config(stale)


def test_lancedb(bundle: Path, documents: Floats, queries: Floats, tmp_path: Path) -> None:
    adapter("lancedb")
    import lancedb
    from lancedb.embeddings import get_registry
    from lancedb.pydantic import LanceModel, Vector

    function = get_registry().get("mirrorkit").create(bundle=str(bundle))

    class Note(LanceModel):  # type: ignore[misc]
        text: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()  # type: ignore[valid-type]

    table = lancedb.connect(tmp_path / "db").create_table("notes", schema=Note)
    table.add([{"text": text} for text in TEXTS])
    near(np.stack(table.to_arrow()["vector"].to_pylist()), documents)
    again = lancedb.connect(tmp_path / "db").open_table("notes")
    best = int(np.argmax(documents @ queries[1]))
    assert again.search(TEXTS[1]).limit(1).to_list()[0]["text"] == TEXTS[best]


def test_fastembed(plain_bundle: Path, bundle: Path) -> None:
    module = adapter("fastembed")
    expected = Encoder(plain_bundle, "fp32").encode(TEXTS)
    model = module.open_bundle(plain_bundle)
    near(list(model.embed(TEXTS)), expected)
    near(list(model.query_embed(TEXTS)), expected)
    int8 = module.open_bundle(plain_bundle, variant="int8", threads=1)
    near(list(int8.embed(TEXTS)), Encoder(plain_bundle, "int8").encode(TEXTS))
    folder = module.add_bundle(plain_bundle, "mine")
    near(list(type(model)("mine", specific_model_path=str(folder)).embed(TEXTS)), expected)
    with pytest.raises(ConfigError, match="has prompts"):
        module.open_bundle(bundle)
    assert module.add_bundle(plain_bundle, "mine") == folder
    for name in ("mine", "BAAI/bge-small-en-v1.5"):
        with pytest.raises(ConfigError, match="has another model of that name"):
            module.add_bundle(plain_bundle, name, variant="int8")


def test_sklearn(plain_bundle: Path) -> None:
    vectorizer = adapter("sklearn").MirrorkitVectorizer(plain_bundle)
    import pickle

    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.exceptions import NotFittedError
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    expected = Encoder(plain_bundle).encode(TEXTS)
    near(vectorizer.fit_transform(TEXTS), expected)
    near(vectorizer.transform(np.array(TEXTS, dtype=object)), expected)
    near(pickle.loads(pickle.dumps(vectorizer)).transform(TEXTS), expected)
    assert vectorizer.get_feature_names_out().tolist() == [f"mirrorkitvectorizer{i}" for i in range(8)]
    fresh = clone(vectorizer).set_params(truncate_dim=4)
    assert fresh.get_params() == {**vectorizer.get_params(), "truncate_dim": 4}
    with pytest.raises(NotFittedError):
        fresh.transform(TEXTS)
    assert fresh.fit(TEXTS).transform(TEXTS).shape == (3, 4)
    for wrong, words in (("a text", "single string"), (np.array([TEXTS]), "table")):
        with pytest.raises(ValueError, match=words):
            vectorizer.transform(wrong)
    labels = [0, 1, 0, 1, 0, 1]
    search = GridSearchCV(
        make_pipeline(vectorizer, LogisticRegression()), {"mirrorkitvectorizer__truncate_dim": [4, 8]}, cv=2
    )
    assert search.fit([*TEXTS, *TEXTS], labels).predict(TEXTS).shape == (3,)
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame({"text": TEXTS, "n": [1, 2, 3]})
    columns = ColumnTransformer([("text", clone(vectorizer), "text")], remainder="passthrough")
    assert columns.fit_transform(frame).shape == (3, 9)
    with pytest.raises(ValueError, match="table"):
        vectorizer.fit(frame)


def test_sklearn_by_its_own_checks(plain_bundle: Path) -> None:
    """Run those that need no data; `check_estimator` leaves out the others itself, as they feed numbers."""
    vectorizer = adapter("sklearn").MirrorkitVectorizer(plain_bundle)
    from sklearn.exceptions import SkipTestWarning
    from sklearn.utils import estimator_checks as checks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = checks.check_estimator(vectorizer, on_fail=None, on_skip=None)
    assert [one["status"] for one in results] == ["passed"]
    names = ("no_attributes_set_in_init", "get_params_invariance", "set_params", "estimator_repr", "valid_tag_types")
    for name in (*names, "estimator_tags_renamed"):
        getattr(checks, f"check_{name}")("MirrorkitVectorizer", vectorizer)


def test_duckdb(bundle: Path, documents: Floats, queries: Floats) -> None:
    module = adapter("duckdb")
    import duckdb

    with duckdb.connect() as connection:
        module.register(connection, bundle)
        connection.execute("CREATE TABLE notes (id INTEGER, text VARCHAR)")
        connection.executemany("INSERT INTO notes VALUES (?, ?)", [*enumerate(TEXTS), (3, None)])
        connection.execute("CREATE TABLE stored AS SELECT id, text, embed(text) AS vector FROM notes")
        rows = connection.execute("SELECT vector FROM stored ORDER BY id").fetchall()
        near([row[0] for row in rows[:3]], documents)
        assert rows[3][0] is None
        (name,) = connection.execute("SELECT typeof(vector) FROM stored LIMIT 1").fetchone()
        assert name == "FLOAT[8]"
        best = connection.execute(
            "SELECT text FROM stored WHERE text IS NOT NULL "
            "ORDER BY array_cosine_similarity(vector, embed_query(?)) DESC LIMIT 1",
            [TEXTS[1]],
        ).fetchone()
        assert best == (TEXTS[int(np.argmax(documents @ queries[1]))],)
        many = connection.execute("SELECT count(embed('n' || i)) FROM range(5000) t(i)").fetchone()
        assert many == (5000,)
        with pytest.raises(ConfigError, match="identifier"):
            module.register(connection, bundle, name="x; DROP")


def test_datasets(bundle: Path, documents: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = adapter("datasets")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    given = datasets.Dataset.from_dict({"text": [*TEXTS, None]})
    done = module.embed(given, bundle)
    near(done.with_format("numpy")["embedding"][:3], documents)
    assert module.embed(given, bundle)._fingerprint == done._fingerprint
    other = module.embed(given, bundle, variant="fp32")
    assert other._fingerprint != done._fingerprint
    both = module.embed(datasets.DatasetDict(train=given, test=given), bundle, into="v", truncate_dim=4)
    assert np.asarray(both["test"]["v"]).shape == (4, 4)
    streamed = module.embed(given.to_iterable_dataset(), bundle)
    near([row["embedding"] for row in streamed][:3], documents)
    with pytest.raises(ConfigError, match="column 'no': the data set has text"):
        module.embed(given, bundle, column="no")


def test_llm(bundle: Path, documents: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter("llm")
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))

    def llm(*args: str, code: int = 0) -> str:
        done = subprocess.run([sys.executable, "-m", "llm", *args], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    assert llm("mirrorkit", "add", str(bundle)) == "llm embed -m mirrorkit/my-bundle\n"
    near(json.loads(llm("embed", "-m", "mirrorkit/my-bundle", "-c", TEXTS[0])), documents[0])
    assert "mirrorkit/my-bundle" in llm("embed-models")
    assert "mirrorkit/my-bundle" in llm("mirrorkit", "list")
    assert "no such folder" in llm("mirrorkit", "add", str(tmp_path / "no"), code=1)
    (tmp_path / "llm" / "mirrorkit.json").write_text('{"a": 1}', encoding="utf-8")
    assert "mirrorkit/" not in llm("embed-models")
    assert "must have the strings" in llm("mirrorkit", "list", code=1)


def test_keybert(bundle: Path, documents: Floats) -> None:
    backend = adapter("keybert").MirrorkitBackend(bundle)
    from keybert import KeyBERT

    near(backend.embed(TEXTS), documents)
    words = KeyBERT(model=backend).extract_keywords("The museum opens at nine, and the museum has tea.", top_n=2)
    assert len(words) == 2


def test_bertopic(bundle: Path, documents: Floats) -> None:
    backend = adapter("bertopic").MirrorkitBackend(bundle)
    from bertopic import BERTopic
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    near(backend.embed(TEXTS), documents)
    texts = [f"{text} {i}" for i in range(10) for text in TEXTS]
    small: dict[str, Callable[[], Any]] = {"umap_model": lambda: PCA(2), "hdbscan_model": lambda: KMeans(3, n_init=1)}
    model = BERTopic(embedding_model=backend, **{name: make() for name, make in small.items()})
    topics, _ = model.fit_transform(texts)
    assert len(set(topics)) == 3


def test_mteb_tells_queries_from_documents(bundle: Path, documents: Floats, queries: Floats) -> None:
    types: Any = pytest.importorskip("mteb.types", reason="needs the mteb extra")
    from mirrorkit.evaluation.mteb import MtebEncoder

    encoder = MtebEncoder.load(bundle)
    batches = [{"text": TEXTS[:2]}, {"text": TEXTS[2:]}]
    near(encoder.encode(batches, prompt_type=types.PromptType.query), queries)
    near(encoder.encode(batches, prompt_type=types.PromptType.document), documents)
    near(encoder.encode(batches, prompt_type=None), Encoder(bundle).encode(TEXTS))
