"""The npm package gives the token ids of Python's `tokenizers`, from its tarball, in node and in a module worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from mirrorkit.text.strings import replace_surrogates
from tests.conftest import REAL_TEXTS
from tests.cpp.families import FAMILIES
from tests.cpp.strings import AWKWARD, fuzz
from tests.web.chromium import Chromium
from tests.web.consumer import run
from tests.web.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.web]

LENGTH = 128
LONE = ["a \ud800 b", "\udc00", "\ud83d\U0001f600\ude00", "ab\udfff" * 90]  # halves of characters
TEXTS = [*REAL_TEXTS, *AWKWARD, *(text * 40 for text in AWKWARD), *fuzz(300, 20261130), *LONE]
POLICY = "script-src 'self' 'wasm-unsafe-eval'"  # and so no eval
Ask = Callable[..., list[Any]]  # for each bundle its texts' ids, or what is wrong with it


def _bundle(folder: Path, model: Path, tokenizer: bytes, **fields: Any) -> Path:
    """Write what token ids need of a bundle, with this tokenizer.json."""
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    manifest = json.loads((model / "mirrorkit.json").read_text(encoding="utf-8"))
    record = {"sha256": hashlib.sha256(tokenizer).hexdigest(), "bytes": len(tokenizer)}
    manifest["files"]["tokenizer.json"] = record
    (folder / "mirrorkit.json").write_text(json.dumps({**manifest, **fields}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def families(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return a bundle of each family of tokenizers."""
    home = tmp_path_factory.mktemp("families")
    return [
        _bundle(home / name, bundle, make().to_str().encode(), max_length=LENGTH) for name, make in FAMILIES.items()
    ]


@pytest.fixture
def in_node(project: Path) -> Ask:
    def in_node(places: list[Path], calls: list[Any]) -> list[Any]:
        job = json.dumps({"places": list(map(str, places)), "calls": calls})
        return list(json.loads(run("node", "node.mjs", cwd=project, given=job)))

    return in_node


def _expect(found: list[Any], bundle: Path, length: int = LENGTH, side: str = "right") -> None:
    reference = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    reference.no_padding()
    reference.enable_truncation(length, direction=side)
    right = reference.encode_batch_fast(list(map(replace_surrogates, TEXTS)))
    assert len(found) == len(TEXTS), found
    wrong = [i for i, ids in enumerate(found) if ids != right[i].ids]
    assert not wrong, f"{bundle.name}: {len(wrong)} differ, first {TEXTS[wrong[0]]!r}: {found[wrong[0]]}"


def test_node_gives_the_ids_of_every_family(in_node: Ask, families: list[Path]) -> None:
    for found, family in zip(in_node(families, [[text] for text in TEXTS]), families, strict=True):
        _expect(found, family)


def test_a_worker_gives_them_where_eval_is_forbidden(
    built: Site, project: Path, browser: Chromium, families: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "dist" / "families").symlink_to(families[0].parent)
    monkeypatch.setitem(built.headers, "Content-Security-Policy", POLICY)
    browser.open(f"{built.address}index.html")
    job = {"places": [f"families/{family.name}" for family in families], "calls": [[text] for text in TEXTS]}
    answers = browser.evaluate(f"ask({json.dumps(job)})")
    for found, family in zip(answers, families, strict=True):
        _expect(found, family)
    assert len([address for address in browser.requests if address.endswith(".wasm")]) == 1
    assert browser.complaints == []


def test_texts_are_cut_as_in_python(in_node: Ask, bundle: Path, families: list[Path], tmp_path: Path) -> None:
    cuts = [(family, *cut) for family in families[1:3] for cut in ((3, "right"), (16, "left"), (4, "left"))]
    places = [
        _bundle(
            tmp_path / f"{family.name}-{length}-{side}",
            bundle,
            (family / "tokenizer.json").read_bytes(),
            max_length=length,
            truncation_side=side,
        )
        for family, length, side in cuts
    ]
    answers = in_node(places, [[text] for text in TEXTS])
    for found, place, (_, length, side) in zip(answers, places, cuts, strict=True):
        _expect(found, place, length, side)


def test_half_a_character_in_a_prompt_does_not_join_one_in_a_text(in_node: Ask, families: list[Path]) -> None:
    calls = [["\ude00x", {"prompt": "y\ud83d"}], ["\ufffdx", {"prompt": "y\ufffd"}], ["y\U0001f600x"]]
    answers = in_node(families, calls)
    assert all(halves == replaced for halves, replaced, _ in answers)
    assert any(whole != replaced for _, replaced, whole in answers)  # those that have no token for either say the same


HOSTILE = {
    "empty": b"",
    "cut short": b'{"model": {"type": "WordPiece", "vocab": {"a": 0',
    "deep": b'{"normalizer": ' + b"[" * 100_000,
    "deep and whole": b'{"normalizer": ' + b'{"type": "Sequence", "normalizers": [' * 60 + b"]}" * 60 + b"}",
    "a list": b"[]",
    "a number": b"1e999999999",
    "no UTF-8": b'{"model": "\xff\xfe"}',
    "a zero": b'{"model":\x00{}}',
    "a vocabulary of numbers": b'{"model": {"type": "WordPiece", "vocab": [1, 2]}}',
    "ids of words": b'{"model": {"type": "WordPiece", "unk_token": "a", "vocab": {"a": "b"}}}',
    "ids beyond all": b'{"model": {"type": "WordPiece", "unk_token": "a", "vocab": {"a": 1e300}}}',
    "merges of nothing": b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["b", "c"]]}}',
    "a charsmap of nothing": b'{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}}',
    "words on lines": b'{"new\\nline": 1, "model": {}}',
    "a model unheard of": b'{"model": {"type": "Unheard"}}',
    "groups without end": b'{"pre_tokenizer": {"type": "Split", "invert": false, "behavior": "Isolated", "pattern": {'
    b'"Regex": "' + b"(" * 50_000 + b'"}}, "model": {"type": "WordPiece"}}',
}


def test_a_tokenizer_that_cannot_be_is_one_line(
    in_node: Ask, bundle: Path, families: list[Path], tmp_path: Path
) -> None:
    places = [_bundle(tmp_path / name, bundle, raw) for name, raw in HOSTILE.items()]
    *answers, good = in_node([*places, families[0]], [["a text"]])
    assert len(good[0]) > 2
    for name, said in zip(HOSTILE, answers, strict=True):
        assert said["ours"], (name, said)
        assert said["error"].isprintable(), (name, said)
        assert len(said["error"]) < 500, (name, said)
    lines = dict(zip(HOSTILE, (said["error"] for said in answers), strict=True))
    assert lines["cut short"].startswith("tokenizer.json: not readable as JSON (")
    assert lines["deep"] == "tokenizer.json: nested more than 64 deep"
    assert "Unheard" in lines["a model unheard of"]
    assert not [line for line in lines.values() if "the tokenizer stopped" in line]


GROWTH = """
  const instances = [];
  const instantiate = WebAssembly.instantiate;
  WebAssembly.instantiate = async (...given) => {
    const made = await instantiate(...given);
    instances.push(made);
    return made;
  };
  const { openManifest } = await import("mirrorkit");
  const bundle = await openManifest(process.argv[1]);
  const size = () => instances.map(({ exports }) => exports.memory.buffer.byteLength);
  const encode = (from, to) => {
    for (let i = from; i < to; i++) bundle.ids(`${"a text of some length, ".repeat(i % 5)} number ${i % 1000}`);
  };
  encode(0, 2000);
  const before = size();
  encode(2000, 100_000);
  console.log(JSON.stringify([before, size()]));
"""


def test_a_hundred_thousand_texts_take_the_memory_of_two_thousand(project: Path, families: list[Path]) -> None:
    before, after = json.loads(run("node", "--input-type=module", "-e", GROWTH, families[0], cwd=project))
    assert len(before) == 1
    assert before == after
