"""A bundle goes to a hub and comes back by its id: no more than a variant needs, from the cache when offline."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxscript", reason="needs the export extra")

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.push import push
from mirrorkit.formats.bundle import VARIANT_FILES, read_bundle
from mirrorkit.formats.card import carried, front_matter, read_front
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.hub import is_hub_id
from tests.exports import traced_once
from tests.hub import Hub

NAME = "me/small-encoder"
TEXTS = ["A cat sits on the mat.", "", "Somebody plays the violin."]
FRONT = {"language": ["en", "de"], "license": "other", "license_name": "own", "base_model": "they/base", "tags": ["x"]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny_random: Callable[[str], Path]) -> Path:
    """Return a bundle of fp32, its fused graph and fp16, of a model whose card has a licence; do not write into it."""
    home = tmp_path_factory.mktemp("hub")
    model = Path(shutil.copytree(tiny_random("bert"), home / "model"))
    (model / "README.md").write_text("\n".join([*front_matter(FRONT), "# a model", ""]), encoding="utf-8")
    with traced_once(tmp_path_factory):
        result = export(model, home / "small-encoder", precision=["fp32", "fp16"], pooling="mean")
    assert result.ok
    return result.bundle


@pytest.fixture
def hub(bundle: Path) -> Iterator[Hub]:
    with Hub() as hub:
        hub.add(NAME, bundle, tag="v1")
        yield hub


def run(hub: Hub, home: Path, *words: str | Path, offline: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {**hub.around(home), **({"HF_HUB_OFFLINE": "1"} if offline else {})}
    command = [sys.executable, "-m", "mirrorkit", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def vectors(hub: Hub, home: Path, out: Path, *flags: str, offline: bool = False) -> Any:
    """Return what `mirrorkit encode` of the id gives."""
    texts = out.with_suffix(".txt")
    texts.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    done = run(hub, home, "encode", NAME, texts, "-o", out, "--overwrite", *flags, offline=offline)
    assert done.returncode == 0, done.stderr
    return np.load(out)


def test_no_more_is_fetched_than_a_variant_needs(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    expected = Encoder(bundle, "fp16", threads=1).encode(TEXTS)
    found = vectors(hub, tmp_path / "home", out, "--variant", "fp16", "--threads", "1")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert hub.fetched() == ["mirrorkit.json", "tokenizer.json", VARIANT_FILES["fp16"]]
    hub.asked.clear()
    fused = vectors(hub, tmp_path / "home", out)  # fp32-fused, which reads the weights of fp32 through links
    np.testing.assert_allclose(fused, Encoder(bundle, "fp32-fused").encode(TEXTS), atol=1e-6)
    assert hub.fetched() == [VARIANT_FILES["fp32-fused"], VARIANT_FILES["fp32"]]
    hub.asked.clear()
    again = vectors(hub, tmp_path / "home", out, offline=True)
    np.testing.assert_array_equal(again, fused)
    assert hub.asked == []


def test_a_revision_is_one_commit(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    hub.commits[NAME].append({"README.md": b"everything is gone"})
    done = run(hub, tmp_path / "home", "similarity", NAME, "a", "b", "--revision", "v1")
    assert done.returncode == 0, done.stderr
    commit = hub.commit_of(NAME, 0)
    assert all(commit in path for _, path in hub.asked if "resolve" in path and "mirrorkit.json" not in path)
    done = run(hub, tmp_path / "home", "similarity", NAME, "a", "b")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{NAME}: no mirrorkit.json there, so it is not a bundle" in line
    for words, complaint in (
        ((NAME, "--revision", "v2"), "cannot be fetched from the Hugging Face hub"),
        (("me/nothing",), "me/nothing: no such folder, and mirrorkit.json cannot be fetched"),
        ((bundle, "--revision", "v1"), "applies only to a model on the hub"),
        ((NAME, "--revision", "v1", "--variant", "int4"), "variant 'int4'"),
    ):
        done = run(hub, tmp_path / "home", "similarity", words[0], "a", "b", *words[1:])
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert complaint in line


def test_check_fetches_all_and_finds_it_fit(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    done = run(hub, tmp_path / "home", "check", NAME, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(json.loads(done.stdout)["variants"]) == {"fp32", "fp32-fused", "fp16"}
    assert set(hub.fetched()) == {"mirrorkit.json", *read_bundle(bundle).files}


def test_what_was_pulled_in_part_is_told_and_fit(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, tmp_path / "home", "similarity", NAME, "a", "b", "--variant", "fp16").returncode == 0
    (snapshot,) = (tmp_path / "home").glob("hub/models--*/snapshots/*")
    assert all(file.is_symlink() for file in snapshot.rglob("*") if not file.is_dir())
    done = run(hub, tmp_path / "home", "check", snapshot)
    assert done.returncode == 0  # by the hashes: without goldens there are no vectors to hold a graph to
    assert "golden.jsonl: left out of this folder" in done.stdout
    assert Encoder(snapshot).variant == "fp16"  # the best of what is here
    with pytest.raises(ConfigError, match=r"'fp32'.* holds fp16; fp32, fp32-fused were left out of it"):
        Encoder(snapshot, "fp32")


def test_an_onnxruntime_that_follows_no_links_gets_the_plain_graph(
    hub: Hub, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(hub, tmp_path / "home", "similarity", NAME, "a", "b").returncode == 0
    (snapshot,) = (tmp_path / "home").glob("hub/models--*/snapshots/*")
    from mirrorkit.runtime.session import open_session

    def refusing(file: Path, **options: Any) -> Any:
        if "fused" in file.name:
            raise BundleError(f"{file}: cannot be opened")
        return open_session(file, **options)

    monkeypatch.setattr("mirrorkit.runtime.engines.open_session", refusing)
    with caplog.at_level(logging.WARNING):
        opened = Encoder(snapshot)
    assert opened.variant == "fp32"
    assert [record.message for record in caplog.records if "instead of fp32-fused" in record.message]
    np.testing.assert_allclose(opened.encode(TEXTS), Encoder(bundle, VARIANT_FILES["fp32"]).encode(TEXTS), atol=1e-6)
    with pytest.raises(BundleError, match="cannot be opened"):
        Encoder(bundle)  # no link: something else is wrong


def test_a_folder_goes_before_an_id(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_hub_id(NAME)
    assert not is_hub_id(Path(NAME))
    assert not any(map(is_hub_id, ("small", "./me/small", "/me/small", "me/small/encoder", "~/small", "me\\small")))
    shutil.copytree(bundle, NAME)
    assert not is_hub_id(NAME)
    assert Encoder(NAME).folder == tmp_path / NAME


def test_a_push_can_be_pulled(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle, tmp_path / "mine"))
    (folder / "notes.txt").write_text("of my own", encoding="utf-8")
    card = (folder / "README.md").read_text(encoding="utf-8") + "\nMore about it.\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    done = run(hub, tmp_path / "home", "push", folder, "me/new", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    files = hub.commits["me/new"][-1]
    assert set(files) == {"mirrorkit.json", *read_bundle(folder).files}  # and not notes.txt
    assert files["README.md"].decode() == card
    assert (told["files"], told["commit"]) == (len(files), hub.commit_of("me/new", len(hub.commits["me/new"]) - 1))
    assert told["notes"] == []
    done = run(hub, tmp_path / "other", "similarity", "me/new", *TEXTS[::2], "--json")
    assert done.returncode == 0, done.stderr
    ours = Encoder(bundle)
    expected = ours.similarity(*[ours.encode(TEXTS[::2])] * 2)
    np.testing.assert_allclose(json.loads(done.stdout)["values"], expected, atol=1e-5)
    again = run(hub, tmp_path / "other", "similarity", "me/new", *TEXTS[::2], "--json", offline=True)
    assert json.loads(again.stdout) == json.loads(done.stdout)


def test_what_check_refuses_is_not_pushed(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle, tmp_path / "mine"))
    graph = folder / VARIANT_FILES["fp16"]
    raw = bytearray(graph.read_bytes())
    raw[len(raw) // 2] ^= 1
    graph.write_bytes(raw)
    done = run(hub, tmp_path / "home", "push", folder, "me/bad")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "not pushed: it does not pass its check" in line
    graph.unlink()
    with pytest.raises(BundleError, match="not pushed: fp16 were left out of it"):
        push(folder, "me/bad")
    with pytest.raises(BundleError, match=r"no mirrorkit\.json in it"):
        push(tmp_path, "me/bad")
    with pytest.raises(ConfigError, match="repository 'bad': must be owner/name"):
        push(bundle, "bad")
    assert "me/bad" not in hub.commits


def test_licence_and_base_go_from_card_to_card(bundle: Path) -> None:
    front = read_front(bundle)
    assert {key: front[key] for key in FRONT if key != "tags"} == {k: v for k, v in FRONT.items() if k != "tags"}
    (entry,) = front["model-index"]
    (result,) = entry["results"]
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values["fp16: mean cosine"] == pytest.approx(1, abs=1e-3)
    assert "fp32-fused: rank correlation of all pairs" in values


@pytest.mark.parametrize(
    "card",
    ["", "# no front", "---\n[\n---\n", "---\n- a list\n---\n", "---\nlicense: [1]\nlanguage: ''\n---\n", "---\nopen"],
)
def test_a_card_that_says_nothing_carries_nothing(tmp_path: Path, card: str) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert carried(tmp_path, "a folder") == {}
    assert carried(tmp_path, "they/base") == {"base_model": "they/base"}


def test_front_matter_reads_back(tmp_path: Path) -> None:
    odd = {"license": "mit: or 'so'", "language": ["no", "ön"], "base_model": "a/b"}
    (tmp_path / "README.md").write_text("\n".join([*front_matter(odd), "text"]), encoding="utf-8")
    assert carried(tmp_path, "x") == odd
    assert "HF_ENDPOINT" not in os.environ  # these tests reach no hub but their own


@pytest.mark.slow
def test_what_works_on_a_bundle_takes_its_id(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = tmp_path / "words.tsv"
    words.write_text("cat\tdog\t7\ncar\tsky\t1\nsun\tmoon\t5\nred\tblue\t6\n", encoding="utf-8")
    scored = run(hub, home, "eval", NAME, "--lexical", words, "--revision", "v1", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["variant"] == "fp32-fused"
    assert "model.safetensors" not in hub.fetched()
    for words_of in (
        ("operators", NAME, "-o", tmp_path / "ops.config"),
        ("triton", NAME, "-o", tmp_path / "repository", "--device", "cpu", "--variant", "fp32"),
    ):
        done = run(hub, home, *words_of)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "repository" / "small-encoder").is_dir()
    done = run(hub, home, "operators", NAME, offline=True)
    assert done.returncode == 2
    assert "is in the hub's cache" in done.stderr


@pytest.mark.slow
def test_a_bundle_is_measured_by_its_id(hub: Hub, tmp_path: Path) -> None:
    sizes = ("--lengths", "8", "--batches", "1", "--variants", "fp16", "--threads", "1", "--json")
    done = run(hub, tmp_path / "home", "bench", NAME, "--baseline", NAME, *sizes)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [subject["name"] for subject in found["subjects"]] == ["baseline", "fp16"]
    assert found["subjects"][0]["graph"] == "onnx"  # run as the bundle that it is, and not by torch
    assert "model.safetensors" not in hub.fetched()
    done = run(hub, tmp_path / "home", "bench", "me/nothing")
    assert done.returncode == 2
    assert "me/nothing: no such folder, and mirrorkit.json cannot be fetched" in done.stderr


@pytest.mark.slow
def test_the_id_of_a_model_is_told_from_that_of_a_bundle(
    hub: Hub, tiny_random: Callable[[str], Path], tmp_path: Path
) -> None:
    hub.add("me/model", tiny_random("bert"))
    words = tmp_path / "words.tsv"
    words.write_text("cat\tdog\t7\ncar\tsky\t1\nsun\tmoon\t5\nred\tblue\t6\n", encoding="utf-8")
    for name, extra, complaint in (
        ("me/model", (), None),
        ("me/model", ("--revision", "v1"), "revision 'v1': only a bundle on the hub has one, and me/model is not one"),
        ("me/nothing", (), "me/nothing: no such local folder, and it cannot be fetched"),
    ):
        done = run(hub, tmp_path / "home", "eval", name, "--lexical", words, "--json", *extra)
        assert done.returncode == (0 if complaint is None else 2), done.stderr
        if complaint:
            (line,) = done.stderr.splitlines()
            assert complaint in line
