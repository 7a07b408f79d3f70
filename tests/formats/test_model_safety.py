"""A folder cannot have its own code run, files outside of it opened, or anything unpickled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.errors import ModelError
from mirrorkit.model.hub import locate_model

EVIL = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass Evil: ...\n"


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(tiny, copy)
    (copy / "evil.py").write_text(EVIL, encoding="utf-8")
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return copy


def edit(file: Path, **values: Any) -> object:
    old = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.parent.mkdir(exist_ok=True)
    return file.write_text(json.dumps({**old, **values}), encoding="utf-8")


def index(folder: Path, name: str) -> object:
    return edit(folder / "model.safetensors.index.json", metadata={}, weight_map={"a": name})


def link(file: Path, goal: str) -> object:
    file.unlink(missing_ok=True)
    file.symlink_to(goal)
    return file


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a model's class": (
        lambda f: edit(f / "config.json", model_type="evil", auto_map={"AutoModel": "evil.Evil"}),
        r"config\.json: auto_map: AutoModel: 'evil\.Evil' is code",
    ),
    "a config's class": (
        lambda f: edit(f / "config.json", auto_map={"AutoConfig": "someone/elsewhere--evil.Evil"}),
        r"auto_map: AutoConfig: 'someone/elsewhere--evil\.Evil' is code",
    ),
    "a tokenizer's class": (
        lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "evil.Evil"]}),
        r"tokenizer_config\.json: auto_map: AutoTokenizer: .*evil\.Evil.* is code",
    ),
    "a tokenizer's class, old form": (
        lambda f: edit(f / "tokenizer_config.json", auto_map=["evil.Evil", None]),
        r"tokenizer_config\.json: auto_map: .*evil\.Evil.* is code",
    ),
    "a pipeline's class": (
        lambda f: edit(f / "config.json", custom_pipelines={"embed": {"impl": "evil.Evil", "pt": ["AutoModel"]}}),
        r"custom_pipelines: embed: 'evil\.Evil' is code",
    ),
    "an inner config's class": (
        lambda f: edit(f / "config.json", text_config={"auto_map": {"AutoModel": "evil.Evil"}}),
        r"auto_map: AutoModel: 'evil\.Evil' is code",
    ),
    "a processor's class": (
        lambda f: edit(f / "processor_config.json", auto_map={"AutoProcessor": "evil.Evil"}),
        r"processor_config\.json: auto_map: AutoProcessor: 'evil\.Evil' is code",
    ),
    "a module's class": (
        lambda f: edit(f / "9_Own" / "config.json", auto_map={"AutoModel": "evil.Evil"}),
        r"9_Own/config\.json: auto_map: AutoModel: 'evil\.Evil' is code",
    ),
    "a kernel from the hub": (
        lambda f: edit(f / "config.json", attn_implementation="someone/kernel"),
        "attn_implementation 'someone/kernel' would be fetched and run",
    ),
    "an adapter": (
        lambda f: edit(f / "adapter_config.json", base_model_name_or_path="../elsewhere"),
        "an adapter",
    ),
    "weights above": (lambda f: index(f, "../secret.safetensors"), "not a file in the model's folder"),
    "weights at an absolute path": (
        lambda f: index(f, str(f.parent / "secret.safetensors")),
        "not a file in the model's folder",
    ),
    "weights over a link": (
        lambda f: (link(f / "part.safetensors", "../secret.safetensors"), index(f, "part.safetensors")),
        "(is a link that leads out|not a file in the model's folder)",
    ),
    "weights in and out again": (lambda f: index(f, "x/../../secret.safetensors"), "not a file in the model's folder"),
    "pickled weights": (lambda f: index(f, "pytorch_model.bin"), "never a pickled file"),
    "pickled weights by name": (
        lambda f: edit(f / "config.json", transformers_weights="pytorch_model.bin"),
        r"transformers_weights 'pytorch_model\.bin': only \.safetensors is read",
    ),
    "weights above by name": (
        lambda f: edit(f / "config.json", transformers_weights="../secret.safetensors"),
        r"transformers_weights '\.\./secret\.safetensors' leads out",
    ),
    "an index of numbers": (lambda f: index(f, 3), "weight_map must give"),  # type: ignore[arg-type]
    "a linked file": (lambda f: link(f / "vocab.txt", "../secret.txt"), "is a link that leads out"),
    "a linked folder": (lambda f: link(f / "1_Pooling", ".."), "is a link that leads out"),
    "a link without end": (lambda f: link(f / "vocab.txt", "vocab.txt"), "is a link that leads out"),
    "positions without end": (
        lambda f: edit(f / "config.json", max_position_embeddings=10**12),
        "max_position_embeddings 1000000000000 must be at most",
    ),
    "a length below zero": (
        lambda f: edit(f / "tokenizer_config.json", model_max_length=-5),
        "model_max_length -5 must be a number of tokens",
    ),
    "a length in words": (
        lambda f: edit(f / "tokenizer_config.json", model_max_length="long"),
        "model_max_length 'long' must be a number of tokens",
    ),
    "a vocabulary elsewhere": (
        lambda f: edit(f / "tokenizer_config.json", vocab_file="../secret.txt"),
        r"vocab_file '\.\./secret\.txt' leads out",
    ),
    "a tokenizer elsewhere": (
        lambda f: edit(f / "tokenizer_config.json", tokenizer_file=str(f.parent / "secret.txt")),
        "tokenizer_file .* leads out",
    ),
    "a tokenizer's arguments": (
        lambda f: edit(f / "tokenizer_config.json", init_inputs=["../secret.txt"]),
        "init_inputs .* leads out",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_would_run_or_read_something_else_is_refused_in_one_line(folder: Path, case: str) -> None:
    spoil, words = BAD[case]
    spoil(folder)
    with pytest.raises(ModelError, match=words):
        locate_model(folder)


def test_what_another_machine_left_is_no_harm(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", special_tokens_map_file="/nowhere/at/all/special_tokens_map.json")
    edit(folder / "config.json", attn_implementation="sdpa", auto_map={})
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert locate_model(folder).folder == folder


def test_the_cache_of_the_hub_is_made_of_links(tiny: Path, tmp_path: Path) -> None:
    home = tmp_path / "models--some--model"
    snapshot = home / "snapshots" / "1234"
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    for number, file in enumerate(file for file in tiny.iterdir() if file.is_file()):
        shutil.copyfile(file, home / "blobs" / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert locate_model(snapshot).folder == snapshot


def test_pipes_and_devices_are_no_settings(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "generation_config.json")
    (folder / "modules.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="is not a file"):
        locate_model(folder)


OWN = """
from pathlib import Path
from transformers import BertConfig, BertModel
Path(__file__).parent.joinpath("ran").touch()
class OwnConfig(BertConfig):
    model_type = "own"
class OwnModel(BertModel):
    config_class = OwnConfig
"""


@pytest.mark.slow
def test_code_is_run_where_it_is_trusted(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    names = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    edit(folder / "config.json", model_type="own", auto_map=names)
    code = (
        "import sys; from mirrorkit import SentenceEncoder, MirrorkitError\n"
        "from mirrorkit.bench.measure.candidates import TorchModel\n"
        "try:\n    SentenceEncoder.load(sys.argv[1])\nexcept MirrorkitError as err:\n    print(err)\n"
        "print(SentenceEncoder.load(sys.argv[1], trust_remote_code=True).encode(['a']).shape)\n"
        "print(TorchModel(sys.argv[1], trust_remote_code=True).encode(['a']).shape)"
    )
    env = {**os.environ, "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False, env=env
    )
    refused, *encoded = done.stdout.splitlines()
    assert "auto_map: AutoConfig: 'own.OwnConfig' is code" in refused
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    assert encoded == [str((1, width))] * 2  # as a model, and as the baseline of `bench`


@pytest.mark.parametrize("command", ["finetune", "export", "eval", "bench"])
def test_no_command_runs_it_or_asks_on_standard_input(folder: Path, tmp_path: Path, command: str) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("onnx", reason="makes a bundle with the export extra")
    from tests.lookups import lookup_bundle

    edit(folder / "config.json", model_type="evil", auto_map={"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"})
    out = str(tmp_path / "out")
    (tmp_path / "words.tsv").write_text("a\tb\t1\nc\td\t2\ne\tf\t3\n", encoding="utf-8")
    given = {
        "finetune": [str(folder), "-", "-o", out],
        "export": [str(folder), "-o", out],
        "eval": [str(folder), "--lexical", str(tmp_path / "words.tsv")],
        "bench": [str(lookup_bundle(tmp_path / "bundle", folder)), "--baseline", str(folder)],
    }[command]
    done = subprocess.run(
        [sys.executable, "-m", "mirrorkit", command, *given],
        input="y\ny\ny\na text\n",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf")},
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "config.json: auto_map" in done.stderr
    assert not list(tmp_path.rglob("ran"))
    assert not (tmp_path / "out").exists()
