"""Hold every layout that people have to sentence-transformers: the same vectors, or a refusal that names the cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("sentence_transformers")
import torch

from mirrorkit import finetune
from mirrorkit.errors import MirrorkitError, ModelError
from mirrorkit.exporter.pipeline import export
from mirrorkit.formats.bundle import VARIANT_FILES
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.outside import compare_outside
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.ragged import Floats
from tests.architectures.bodies import build
from tests.conftest import FAMILIES, _train_tokenizer
from tests.formats.bodies import BODIES, OTHER_BODIES, build_body
from tests.formats.layouts import LAYOUTS
from tests.formats.making import TEXTS, Base, Layout, change
from tests.formats.more_layouts import MORE

ALLOWED = 1e-5
ALL: dict[str, tuple[str, Layout]] = {
    **{name: ("bert", layout) for name, layout in LAYOUTS.items()},
    **OTHER_BODIES,
    **MORE,
}
HONOURED = [name for name, (_, layout) in ALL.items() if layout.refused is None and name not in MORE]
AS_WELL = [pytest.param(name, marks=pytest.mark.slow) for name, (_, layout) in MORE.items() if layout.refused is None]
REFUSED = [name for name, (_, layout) in ALL.items() if layout.refused is not None]


@pytest.fixture(scope="module")
def folder_of(tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from the name of a layout to a folder of it; do not write into it."""
    home = tmp_path_factory.mktemp("layouts")

    def make(name: str) -> Path:
        kind, layout = ALL[name]
        folder = home / name.replace(" ", "-").replace("/", "-")
        if not folder.is_dir():
            body = home / "bodies" / kind
            if kind in FAMILIES:
                body = tiny_random(kind)
            elif not body.is_dir():
                build_body(body, _train_tokenizer) if kind in BODIES else build(kind, body)
            layout.make(folder, Base(body))
        return folder

    return make


def theirs(folder: Path, prompt: str | None = None) -> Floats:
    """Return what sentence-transformers gives, in fp32."""
    vectors = their_model(folder).encode(list(TEXTS), prompt_name=prompt, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


def their_model(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(name: str, folder_of: Callable[[str], Path]) -> None:
    refused = ALL[name][1].refused
    assert refused is not None
    with pytest.raises(MirrorkitError) as caught:
        SentenceEncoder.load(folder_of(name))
    assert refused in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*HONOURED, *AS_WELL])
def test_the_vectors_are_those_of_sentence_transformers(
    name: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = folder_of(name)
    encoder, other = SentenceEncoder.load(folder), their_model(folder)
    assert encoder.max_length == min(other.max_seq_length, encoder.max_length)
    assert encoder.usage.similarity == other.similarity_fn_name
    encoder.save(tmp_path)
    again = their_model(tmp_path)
    assert (again.prompts, again.default_prompt_name) == (other.prompts, other.default_prompt_name)
    assert (again.similarity_fn_name, again.truncate_dim) == (other.similarity_fn_name, other.truncate_dim)
    for prompt in (None, *encoder.usage.prompts):
        ours = encoder.encode(TEXTS, prompt_name=prompt)
        for model in (other, again):
            vectors = model.encode(list(TEXTS), prompt_name=prompt, show_progress_bar=False)
            np.testing.assert_allclose(ours, vectors, atol=ALLOWED, rtol=0)
    np.testing.assert_array_equal(SentenceEncoder.load(tmp_path).encode(TEXTS), encoder.encode(TEXTS))


@pytest.mark.slow
@pytest.mark.parametrize("name", HONOURED)
def test_a_bundle_gives_the_same_vectors_in_every_reader(
    name: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = folder_of(name)
    result = export(folder, tmp_path / "bundle", precision=["fp32"], optimize=False)  # CHAINS below has the fused ones
    assert result.ok
    assert result.about.outside.compared
    assert result.about.outside.largest <= ALLOWED
    for variant in result.variants.values():
        opened = Encoder(result.bundle, variant.file)
        for prompt in (None, *opened.usage.prompts):
            expected = theirs(folder, prompt)
            np.testing.assert_allclose(opened.encode(TEXTS, prompt_name=prompt), expected, atol=ALLOWED, rtol=0)
            np.testing.assert_allclose(theirs(result.bundle, prompt), expected, atol=ALLOWED, rtol=0)


# One layout for each kind of chain that has its own way through quantisation and fusion.
CHAINS = (
    "everything",  # cls+mean, LayerNorm, two Dense, truncate_dim, a default prompt, no Normalize at the end
    "two Dense (EmbeddingGemma)",
    "weightedmean (SGPT)",
    "all poolings",
    "include_prompt false, cls+weighted+last",
    "dot, no Normalize (multi-qa-dot)",
    "truncate_dim 16",
    "Qwen3-Embedding",
    "StaticEmbedding, Normalize",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS)
def test_every_variant_of_every_kind_of_chain_passes_its_proof(
    name: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Run through the public way in, so that the limits are those of each precision."""
    result = export(folder_of(name), tmp_path / "bundle", precision=["fp32", "fp16", "int8"])
    assert result.ok, [problem.line() for problem in result.problems]
    assert {"fp32", "fp16", "int8"} <= set(result.variants)
    fused = {"fp32-fused", "int8-fused"} & set(result.variants)
    assert fused or any("can be fused" in note for note in result.notes)
    exact = Encoder(result.bundle, VARIANT_FILES["fp32"]).encode(TEXTS)
    for variant in result.variants.values():
        opened = Encoder(result.bundle, variant.file)
        if variant.name == "fp32-fused":
            for prompt in (None, *opened.usage.prompts):
                expected = theirs(folder_of(name), prompt)
                np.testing.assert_allclose(opened.encode(TEXTS, prompt_name=prompt), expected, atol=ALLOWED, rtol=0)
        vectors = opened.encode(TEXTS)
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(exact, axis=1)
        near = np.sum(vectors * exact, axis=1)[2:] / lengths[2:]  # of an empty text a table has no direction
        assert near.min() > (0.8 if "int8" in variant.name else 0.999)


def test_queries_and_documents_get_the_prompts_that_sentence_transformers_gives_them(
    folder_of: Callable[[str], Path],
) -> None:
    folder = folder_of("prompts and default (E5)")
    encoder, other = SentenceEncoder.load(folder), their_model(folder)
    texts = list(TEXTS[:6])
    for name, encode in (("query", other.encode_query), ("document", other.encode_document)):
        np.testing.assert_allclose(encoder.encode(texts, prompt_name=name), encode(texts), atol=ALLOWED)
    assert np.abs(encoder.encode(texts) - encoder.encode(texts, prompt="")).max() > 0.01
    np.testing.assert_allclose(encoder.encode(texts, prompt="x: "), other.encode(texts, prompt="x: "), atol=ALLOWED)


def test_a_fine_tune_keeps_all_that_its_base_says(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folder_of("everything")
    tuned = finetune(
        folder, [*TEXTS[3:12], *"abcdefgh"], tmp_path / "out", batch_size=8, max_length=24, learning_rate=1e-3,
        span_mask=0, device="cpu", autocast="fp32",
    ).encoder  # fmt: skip
    before, after = their_model(folder), their_model(tmp_path / "out")
    assert (after.prompts, after.default_prompt_name) == (before.prompts, before.default_prompt_name)
    assert (after.similarity_fn_name, after.truncate_dim) == (before.similarity_fn_name, before.truncate_dim)
    assert [type(module).__name__ for module in after] == [type(module).__name__ for module in before]
    vectors = after.encode(list(TEXTS), show_progress_bar=False)
    np.testing.assert_allclose(tuned.encode(TEXTS), vectors, atol=ALLOWED)
    assert np.abs(vectors - theirs(folder)).max() > 1e-3
    assert not torch.equal(before[4].linear.weight, after[4].linear.weight)  # the dense layer was trained along


def test_a_reading_that_is_wrong_is_found_and_its_key_is_named(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("48 beside model_max_length 16")
    encoder = SentenceEncoder.load(folder)
    encoder.max_length = 16
    with pytest.raises(ModelError, match=r"sentence-transformers .*max_seq_length.*16 tokens here"):
        compare_outside(encoder, folder)
    encoder = SentenceEncoder.load(folder, pooling="cls")
    with pytest.raises(ModelError, match=r"probably 1_Pooling/config\.json"):
        compare_outside(encoder, folder)


def test_what_was_not_compared_is_said(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of("plain")
    encoder = SentenceEncoder.load(folder)
    own = compare_outside(encoder, folder, as_it_is=False)
    assert own.line() == "not compared with sentence-transformers: pooling or max_length is not the folder's own"
    with monkeypatch.context() as patch:
        patch.setattr("mirrorkit.model.outside.find_spec", lambda _: None)
        assert compare_outside(encoder, folder).line() == "not compared with sentence-transformers: it is not installed"
    compared = compare_outside(encoder, folder)
    assert compared.as_dict()["compared"] is True
    assert compared.texts > 16
    assert "largest difference" in compared.line()


def test_a_module_type_that_is_nearly_one_of_theirs_is_refused(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(folder_of("plain"), tmp_path / "copy")
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    for kind in ("sentence_transformers.models.pooling", "x.sentence_transformers.models.Pooling", "Pooling"):
        modules[1]["type"] = kind
        (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        with pytest.raises(ModelError, match=r"modules\.json: type .* is not one of the modules"):
            SentenceEncoder.load(folder)


def test_every_key_that_sentence_transformers_writes_is_known(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A release that writes a new key into a plain model must be looked at before it is let through."""
    other = their_model(folder_of("everything"))
    other.save(str(tmp_path), create_model_card=False)
    assert SentenceEncoder.load(tmp_path).dim == 16
    change(tmp_path / "4_Dense" / "config.json", unheard_of=1)
    with pytest.raises(ModelError, match=r"4_Dense/config\.json: unheard_of 1 is not known"):
        SentenceEncoder.load(tmp_path)
