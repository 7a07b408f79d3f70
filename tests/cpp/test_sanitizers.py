"""The C++ library under AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer and libFuzzer."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tarfile
from pathlib import Path

import pytest

from mirrorkit import pack
from tests.bundles import bundle_of
from tests.cpp.building import build, framed, onnxruntime_library, succeed
from tests.cpp.families import FAMILIES
from tests.cpp.patterns import PUBLISHED, REFUSED, SYNTAX
from tests.cpp.strings import AWKWARD, fuzz
from tests.packing import SPOILT, archive

pytestmark = pytest.mark.cpp

STRINGS = 3_000  # for each tokenizer; the sanitizers make it ten times slower
# Inputs that libFuzzer tries: what it once found to lead to every branch comes first, and counts. All of them by
# `make test-cpp-all`, a quarter by `make test-cpp`.
SHARE = 1 if "MIRRORKIT_CPP_ALL" in os.environ else 4
TEXT_RUNS, FILE_RUNS, MANIFEST_RUNS, GRAPH_RUNS = (runs // SHARE for runs in (100_000, 20_000, 5_000, 10_000))
REGEX_RUNS, PACKED_RUNS, MEMORY_RUNS = (runs // SHARE for runs in (50_000, 5_000, 1_000))
SEED = 7
CORPUS = Path(__file__).with_name("corpus")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> list[Path]:
    """Return the files of one tokenizer of every family."""
    folder = tmp_path_factory.mktemp("tokenizers")
    for name, make in FAMILIES.items():
        make().save(str(folder / f"{name}.json"))
    return [*sorted(folder.iterdir()), tiny / "tokenizer.json"]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="needs the export extra")
    return bundle_of(tiny, ["fp32"], tmp_path_factory)


def unpacked(name: str, folder: Path) -> Path:
    """Return a folder of what libFuzzer found to lead to every branch; README.md there tells how."""
    with tarfile.open(CORPUS / f"{name}.tar.xz") as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            (folder / f"found-{Path(entry.name).name}").write_bytes(content.read())
    return folder


@pytest.mark.slow
def test_no_memory_error_or_leak(
    bundle: Path, tokenizers: list[Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    built = build("asan", tmp_path_factory)
    suppressions = tmp_path / "leaks"
    suppressions.write_text("leak:libonnxruntime\n", encoding="utf-8")
    env = {"LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0", "ASAN_OPTIONS": "detect_leaks=1"}
    for program in ("api_test", "threads_test"):
        assert succeed([built / "tests" / program, bundle, onnxruntime_library()], env=env) == b"ok\n"
    pack(bundle, tmp_path / "encoder.mkit")
    sources: list[str | Path] = [bundle, tmp_path / "encoder.mkit", onnxruntime_library(), "fp32"]
    assert succeed([built / "tests" / "sources_test", *sources], env=env) == b"ok\n"
    spoilt = []
    for number, spoil in enumerate(SPOILT.values()):
        spoilt.append(tmp_path / f"{number}.mkit")
        spoilt[-1].write_bytes(spoil((tmp_path / "encoder.mkit").read_bytes()))
    assert succeed([built / "tests" / "verdicts", *spoilt], env=env).count(b"\0") == len(SPOILT)
    data = framed([*AWKWARD, *fuzz(STRINGS, SEED)])
    for tokenizer in tokenizers:
        assert len(succeed([built / "tests" / "token_ids", tokenizer, "64"], data=data, env=env)) > STRINGS


@pytest.mark.slow
def test_no_data_race(bundle: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    built = build("tsan", tmp_path_factory)
    suppressions = tmp_path / "races"
    # ONNX Runtime is not instrumented: its locks are not seen, but some of its unlocks are.
    suppressions.write_text("called_from_lib:libonnxruntime.so\n", encoding="utf-8")
    env = {"TSAN_OPTIONS": f"suppressions={suppressions}:halt_on_error=1:report_mutex_bugs=0"}
    assert succeed([built / "tests" / "threads_test", bundle, onnxruntime_library()], env=env) == b"ok\n"
    pack(bundle, tmp_path / "encoder.mkit")
    sources: list[str | Path] = [bundle, tmp_path / "encoder.mkit", onnxruntime_library(), "fp32"]
    assert succeed([built / "tests" / "sources_test", *sources], env=env) == b"ok\n"


def test_fuzzed_texts(tokenizers: list[Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    built = build("fuzz", tmp_path_factory, "clang++")
    for i, text in enumerate(AWKWARD):
        (tmp_path / str(i)).write_bytes(bytes([i]) + text.encode())
    env = {"MIRRORKIT_FUZZ_TOKENIZERS": ":".join(map(str, tokenizers))}
    fuzzer = built / "tests" / "fuzz_text"
    succeed([fuzzer, f"-runs={TEXT_RUNS}", f"-seed={SEED}", "-max_len=400", tmp_path], env=env)


def test_fuzzed_tokenizer_files(
    tokenizers: list[Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    built = build("fuzz", tmp_path_factory, "clang++")
    for file in tokenizers:  # small ones: the vocabularies cut to what holds together
        value = json.loads(file.read_text(encoding="utf-8"))
        vocab = value["model"]["vocab"]
        value["model"]["vocab"] = dict(list(vocab.items())[:40]) if isinstance(vocab, dict) else vocab[:40]
        value["model"] |= {"merges": []} if "merges" in value["model"] else {}
        value["added_tokens"] = [
            token for token in value["added_tokens"] if token["content"] in value["model"]["vocab"]
        ]
        (tmp_path / file.parent.name).mkdir(exist_ok=True)
        (tmp_path / file.parent.name / file.name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    corpus = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    (tmp_path / "found").mkdir()
    corpus.append(unpacked("tokenizers", tmp_path / "found"))
    fuzzer = built / "tests" / "fuzz_tokenizer"
    succeed([fuzzer, f"-runs={FILE_RUNS}", f"-seed={SEED}", "-max_len=8000", *corpus])


def test_fuzzed_manifests(bundle: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    built = build("fuzz", tmp_path_factory, "clang++")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "mirrorkit.json").write_bytes((bundle / "mirrorkit.json").read_bytes())
    unpacked("manifests", corpus)
    fuzzer = built / "tests" / "fuzz_manifest"
    succeed([fuzzer, f"-runs={MANIFEST_RUNS}", f"-seed={SEED}", corpus], env={"TMPDIR": str(tmp_path)})


def test_fuzzed_regular_expressions(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    built = build("fuzz", tmp_path_factory, "clang++")
    for number, pattern in enumerate([*PUBLISHED.values(), *SYNTAX.values(), *REFUSED]):
        (tmp_path / str(number)).write_bytes(f"{pattern}\nIt's 123 a b\r\nÜber-漢字 don'T".encode())
    fuzzer = built / "tests" / "fuzz_regex"
    succeed([fuzzer, f"-runs={REGEX_RUNS}", f"-seed={SEED}", "-max_len=500", "-timeout=20", tmp_path])


def test_fuzzed_graphs(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    built = build("fuzz", tmp_path_factory, "clang++")
    (tmp_path / "corpus").mkdir()
    corpus = unpacked("graphs", tmp_path / "corpus")
    fuzzer = built / "tests" / "fuzz_graph_paths"
    succeed([fuzzer, f"-runs={GRAPH_RUNS}", f"-seed={SEED}", "-max_len=1000", corpus], env={"TMPDIR": str(tmp_path)})


def small_bundle(bundle: Path) -> dict[str, bytes]:
    """Return the files of a bundle that is sound and small: few words, and bytes that are no graph."""
    value = json.loads((bundle / "tokenizer.json").read_text(encoding="utf-8"))
    value["model"]["vocab"] = dict(list(value["model"]["vocab"].items())[:40])
    value["added_tokens"] = [token for token in value["added_tokens"] if token["content"] in value["model"]["vocab"]]
    files = {"tokenizer.json": json.dumps(value).encode(), "onnx/model.onnx": b"no graph", "golden.jsonl": b"{}"}
    manifest = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))
    manifest["scalar_ranges"] = None
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
    }
    return {"mirrorkit.json": json.dumps(manifest).encode(), **files}


def test_fuzzed_packed_bundles(bundle: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    built = build("fuzz", tmp_path_factory, "clang++")
    small = small_bundle(bundle)
    whole = archive([(name.encode(), data) for name, data in small.items()])
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "tiny").write_bytes(archive([(b"mirrorkit.json", b"{}"), (b"a/b", b"text")]))
    for number, spoil in enumerate(SPOILT.values()):
        (tmp_path / str(number)).write_bytes(spoil(whole))
    fuzzer = built / "tests" / "fuzz_packed"
    succeed([fuzzer, f"-runs={PACKED_RUNS}", f"-seed={SEED}", f"-max_len={len(whole) + 100}", tmp_path])


def test_fuzzed_bundles_in_memory(bundle: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    built = build("fuzz", tmp_path_factory, "clang++")
    small = list(small_bundle(bundle).values())
    for number, order in enumerate((small, small[:2], small[1:], [*small, small[0]])):
        names = [small.index(data) for data in order]
        framed_files = (struct.pack("<BH", name, len(data)) + data for name, data in zip(names, order, strict=True))
        (tmp_path / str(number)).write_bytes(b"".join(framed_files))
    fuzzer = built / "tests" / "fuzz_memory"
    succeed([fuzzer, f"-runs={MEMORY_RUNS}", f"-seed={SEED}", "-max_len=20000", tmp_path])
