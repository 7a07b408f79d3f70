"""Prompts, dimensions, lengths and similarity in the C and C++ library: what Python gives for the same bundle."""

from __future__ import annotations

import ctypes
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the export extra")
pytest.importorskip("sentence_transformers")

from mirrorkit.runtime.encoder import Encoder
from tests.bundles import add_goldens, make_bundle
from tests.conftest import _train_tokenizer
from tests.cpp.building import run, succeed
from tests.formats.bodies import OTHER_BODIES, build_body
from tests.formats.layouts import LAYOUTS
from tests.formats.making import TEXTS, Base

pytestmark = pytest.mark.cpp

TOLERANCE = 1e-5  # of a component, fp32
WORDS = [text.replace("\n", " ") for text in TEXTS if text.strip()]
NAMES = (
    "everything",  # a default prompt, cls+mean and a dense layer, truncated, no unit length, dot
    "include_prompt false (INSTRUCTOR)",
    "truncation_side left",
    "euclidean (gtr)",
    "StaticEmbedding, Normalize",
    "Qwen3-Embedding",
)


@pytest.fixture(scope="module", params=NAMES)
def bundle(
    request: pytest.FixtureRequest, tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a bundle with goldens of one layout; do not write into it."""
    home = tmp_path_factory.mktemp("usage")
    kind, layout = OTHER_BODIES.get(request.param) or ("bert", LAYOUTS[request.param])
    body = tiny_random("bert") if kind == "bert" else build_body(home / kind, _train_tokenizer)
    layout.make(home / "model", Base(body))
    folder = make_bundle(home / "bundle", home / "model")
    add_goldens(folder, TEXTS)
    return folder


class Options(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("prompt", ctypes.c_char_p),
        ("prompt_name", ctypes.c_char_p),
        ("truncate_dim", ctypes.c_int32),
        ("normalize", ctypes.c_int32),
        ("abort", ctypes.c_void_p),
        ("cut", ctypes.c_void_p),
    )


class Library:
    """The C API by ctypes: what a program in another language would see."""

    def __init__(self, built: Path, bundle: Path) -> None:
        (file,) = [path for path in built.glob("libmirrorkit.so") if path.exists()]
        self.c = ctypes.CDLL(str(file))
        for name in ("last_error", "similarity_name"):
            getattr(self.c, f"mirrorkit_{name}").restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p()
        assert self.c.mirrorkit_create(str(bundle).encode(), None, ctypes.byref(self.handle)) == 0, self.error()

    def error(self) -> str:
        return str(self.c.mirrorkit_last_error().decode())

    def encode(self, texts: list[str], **asked: Any) -> Any:
        options = Options(size=ctypes.sizeof(Options))
        for key, value in asked.items():
            setattr(options, key, value.encode() if isinstance(value, str) else value)
        raw = (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))
        dim = self.c.mirrorkit_dim_with(self.handle, ctypes.byref(options))
        vectors = np.zeros((len(texts), dim), dtype=np.float32)
        place = vectors.ctypes.data_as(ctypes.c_void_p)
        size = ctypes.c_size_t(vectors.size)
        count = ctypes.c_size_t(len(texts))
        status = self.c.mirrorkit_encode_with(self.handle, ctypes.byref(options), raw, None, count, place, size)
        if status != 0:
            raise ValueError(self.error())
        return vectors

    def similarity(self, a: Any, b: Any) -> Any:
        scores = np.zeros((len(a), len(b)), dtype=np.float32)
        sizes = [ctypes.c_size_t(n) for n in (len(a), len(b), a.shape[1])]
        places = [side.ctypes.data_as(ctypes.c_void_p) for side in (a, b, scores)]
        status = self.c.mirrorkit_similarity(self.handle, places[0], sizes[0], places[1], sizes[1], sizes[2], places[2])
        assert status == 0, self.error()
        return scores


def test_check_passes(built: Path, bundle: Path, environment: dict[str, str]) -> None:
    out = succeed([built / "mirrorkit-cli", "check", bundle, "--threads", "1"], env=environment).decode()
    assert "token ids: 0 differ" in out
    assert "passed" in out


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ([], {}),
        (["--prompt-name", "query"], {"prompt_name": "query"}),
        (["--prompt", "x y: "], {"prompt": "x y: "}),
        (["--prompt", "", "--truncate-dim", "5"], {"prompt": "", "truncate_dim": 5}),
        (["--truncate-dim", "7", "--normalize"], {"truncate_dim": 7, "normalize": True}),
        (["--truncate-dim", "9999"], {}),
    ],
)
def test_every_option_gives_what_python_gives(
    flags: list[str], asked: dict[str, Any], built: Path, bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    expected = Encoder(bundle, threads=1).encode(WORDS, **asked)
    (tmp_path / "in.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    files: list[str | Path] = ["--input", tmp_path / "in.txt", "--format", "npy", "--output", tmp_path / "out.npy"]
    succeed([built / "mirrorkit-cli", "encode", bundle, "--threads", "1", *files, *flags], env=environment)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=0, atol=TOLERANCE)


def test_the_c_api_has_them_in_a_call(
    built: Path, bundle: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRRORKIT_ONNXRUNTIME", environment["MIRRORKIT_ONNXRUNTIME"])
    encoder, library = Encoder(bundle, threads=1), Library(built, bundle)
    for asked in ({}, {"prompt": "a: "}, {"prompt_name": "document", "truncate_dim": 6}, {"normalize": True}):
        given = library.encode(WORDS, **asked)
        np.testing.assert_allclose(given, encoder.encode(WORDS, **asked), rtol=0, atol=TOLERANCE)
    vectors = library.encode(WORDS)
    expected = encoder.similarity(vectors[:4], vectors)
    np.testing.assert_allclose(library.similarity(vectors[:4], vectors), expected, rtol=1e-5, atol=1e-5)
    assert library.c.mirrorkit_similarity_name(library.handle).decode() == encoder.usage.similarity
    assert bool(library.c.mirrorkit_normalized(library.handle)) is encoder.usage.normalized
    with pytest.raises(ValueError, match="prompt passage: the model has"):
        library.encode(WORDS, prompt_name="passage")
    with pytest.raises(ValueError, match="truncate_dim -1: must be at least 0"):
        library.encode(WORDS, truncate_dim=-1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 4}, "this library reads up to 3"),
        ({"dim": 1 << 17}, "dim must be a whole number of 1 to 65536"),
        ({"max_length": 1 << 21}, "max_length must be a whole number of 1 to 1048576"),
        ({"pad_token_id": 1 << 31}, "pad_token_id must be a whole number of 0 to 2147483647"),
        ({"prompts": ["query"]}, "prompts must be an object"),
        ({"default_prompt": "passage"}, "default_prompt passage is none of the prompts"),
        ({"similarity": "maxsim"}, "similarity must be one of cosine, dot, euclidean, manhattan"),
        ({"truncation_side": "middle"}, "truncation_side must be one of right, left"),
        ({"normalized": 1}, "normalized must be true or false"),
    ],
)
def test_a_manifest_that_cannot_be_is_one_line(
    change: dict[str, Any], complaint: str, built: Path, bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    if "euclid" not in json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))["similarity"]:
        pytest.skip("one bundle will do")
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    manifest = {**json.loads((folder / "mirrorkit.json").read_text(encoding="utf-8")), **change}
    (folder / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = run([built / "mirrorkit-cli", "encode", folder], data=b"a\n", env=environment)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert complaint in line
