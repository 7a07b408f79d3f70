"""What is measured: variants of a bundle, and what they are compared with. Opens them by one set of verbs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mirrorkit.bench.result import BASELINE
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import TOKENIZER, Bundle, Variant, check_file, is_bundle, read_bundle
from mirrorkit.formats.bundle import Precision as FormatPrecision
from mirrorkit.paths import local_path
from mirrorkit.runtime.hub import holds_bundle, open_bundle
from mirrorkit.runtime.openvino.precision import Precision
from mirrorkit.runtime.ops import BF16, BF16_VARIANT, FUSED, VARIABLE, why_not_bf16
from mirrorkit.runtime.runner import LocalRunner
from mirrorkit.text.ragged import Floats, Ints, RaggedIds

log = logging.getLogger(__name__)

TORCH = "torch"
OnTexts = Callable[[int], None]  # texts just done


@dataclass(frozen=True)
class Candidate:
    """A graph or a model folder that is to be measured."""

    name: str  # BASELINE or a variant's name
    folder: str
    file: str  # the ONNX graph, relative to the folder; empty: torch runs the model
    precision: str
    graph: str
    file_bytes: int
    verify: bool  # whether its files are held against their recorded hashes before they are opened
    bundle: Bundle | None = None  # what the folder was read as; None where torch runs the model
    trust_remote_code: bool = False  # whether Python code of the model folder's own may run
    engine: str = "onnxruntime"  # what runs the graph
    asked: str | None = None  # the precision that it is asked for, where the variant does not decide

    @property
    def variant(self) -> Variant:
        """The variant that the graph is; there is none where torch runs the model."""
        assert self.bundle is not None
        return next(variant for variant in self.bundle.variants.values() if variant.file == self.file)

    @property
    def is_another_model(self) -> bool:
        """Whether its vectors are no others' vectors, however nearly: they may even have another length."""
        return self.precision == FormatPrecision.STATIC

    def order(self) -> dict[str, Any]:
        """Return, as plain JSON, what another process needs to open it."""
        return {name: value for name, value in vars(self).items() if name != "bundle"}


def candidates(
    bundle: Bundle,
    chosen: Sequence[Variant],
    baseline: str | None,
    *,
    verify: bool,
    trust_remote_code: bool = False,
    engine: str = "onnxruntime",
    bf16: bool = False,
) -> list[Candidate]:
    """Return the baseline, and the chosen variants of the bundle.

    With the engine `openvino` their plain graphs come once more, in each precision that OpenVINO has for them here, and
    the fused fp32 graph comes once more as libmirrorkit_ops runs it in bf16, where it is chosen and that can be; with
    `bf16` it has to be. Without a `baseline` the plain fp32 variant stands in. Raises ConfigError for a bundle without
    one and for a bf16 that cannot be, ModelError or BundleError for a baseline that cannot be used.
    """
    if not chosen and not bf16:
        raise BundleError(f"{bundle.folder}: holds no variants")
    compared = _baseline(bundle, baseline, verify, trust_remote_code)
    graphs = [_graph_of(bundle, v, v.name, verify) for v in chosen]
    others = [*_by_openvino(graphs)] if engine == "openvino" else []
    fused = bundle.variant(FUSED) if bf16 else next((v for v in chosen if v.name == FUSED), None)
    if fused is not None and _runs_in_bf16(bundle.path(fused.file), has_to=bf16):
        others.append(replace(_graph_of(bundle, fused, BF16_VARIANT, verify), precision=BF16, asked=BF16))
    return [compared, *graphs, *others]


def _by_openvino(graphs: Sequence[Candidate]) -> Iterator[Candidate]:
    from mirrorkit.runtime.openvino.library import available

    for precision in available("cpu"):
        graph = next((one for one in graphs if one.name == precision.graph), None)
        if graph is not None:
            asked = str(precision)
            yield replace(graph, name=precision.variant, precision=asked, engine="openvino", asked=asked)


def _runs_in_bf16(file: Path, *, has_to: bool) -> bool:
    """Return whether libmirrorkit_ops runs the graph in bf16 here; why it does not is told, and is an error if so."""
    why = why_not_bf16(file)
    if why is None:
        return True
    why = why.removeprefix(f"precision {BF16}: ")
    if has_to:
        raise ConfigError(f"variants {BF16_VARIANT}: {why}")
    told = logging.WARNING if os.environ.get(VARIABLE) else logging.INFO  # who has named a library wants to know
    log.log(told, "%s is left out: %s", BF16_VARIANT, why.partition(";")[0])
    return False


def check_hashes(chosen: Sequence[Candidate]) -> None:
    """Raise BundleError for a file that is needed and is not the one that was verified."""
    needed: dict[tuple[str, str], Bundle] = {}
    for one in chosen:
        if one.bundle is not None and one.verify:
            golden = [one.variant.golden] if one.variant.golden in one.bundle.files else []
            names = (TOKENIZER, *golden, one.file, *one.variant.data_files)
            needed |= {(one.folder, name): one.bundle for name in names}
    for (_, name), bundle in needed.items():
        check_file(bundle, name)


def _baseline(bundle: Bundle, model: str | None, verify: bool, trust_remote_code: bool) -> Candidate:
    if model is not None and not is_bundle(local_path(model)) and not holds_bundle(model):
        from mirrorkit.model.hub import locate_model

        folder = locate_model(model, trust_remote_code=trust_remote_code).folder
        weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
        return Candidate(BASELINE, str(folder), "", "fp32", TORCH, weights, verify, trust_remote_code=trust_remote_code)
    other = bundle if model is None else open_bundle(model)
    variant = next((other.variants[name] for name in ("fp32", "fp32-fused") if name in other.variants), None)
    if variant is None:
        held = ", ".join(other.variants) or "no variants"
        hint = "; give a `baseline`" if model is None else ""
        raise ConfigError(f"{other.folder}: holds {held}, but no fp32 variant to compare with{hint}")
    return _graph_of(other, variant, BASELINE, verify)


def _graph_of(bundle: Bundle, variant: Variant, name: str, verify: bool) -> Candidate:
    size = sum(bundle.files[file].bytes for file in (variant.file, *variant.data_files))
    folder, precision, graph = str(bundle.folder.absolute()), str(variant.precision), str(variant.graph)
    return Candidate(name, folder, variant.file, precision, graph, size, verify, bundle)


class Model(Protocol):
    """An open subject."""

    @property
    def max_length(self) -> int: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str], on_progress: OnTexts | None = None) -> Floats:
        """Return vectors float32 [n, dim], as the subject itself gives them."""

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        """Return the token ids of each text."""

    @property
    def pad_id(self) -> int:
        """Token that fills a batch up."""

    def batch(self, input_ids: Ints, mask: Ints, /) -> Floats:
        """Return the vectors of one batch of token ids, padded on the right."""


def open_model(candidate: Candidate, threads: int) -> Model:
    """Open a candidate whose files have been checked; raises the errors of Encoder or SentenceEncoder.

    torch's threads are its process's own.
    """
    if candidate.bundle is None:
        return TorchModel(candidate.folder, trust_remote_code=candidate.trust_remote_code)
    return OnnxModel(candidate.bundle, candidate.variant, threads, candidate.engine, candidate.asked)


class _Counted:
    """Tells of the texts just done, not of all so far."""

    def __init__(self, on_progress: OnTexts) -> None:
        self._on_progress = on_progress
        self._done = 0

    def phase(self, name: str) -> None:
        pass

    def advance(self, done: int, total: int | None, figures: str = "") -> None:  # noqa: ARG002
        self._on_progress(done - self._done)
        self._done = done


class OnnxModel:
    """One graph of a bundle, run by the light runtime: by ONNX Runtime or OpenVINO, in the precision asked for."""

    def __init__(
        self, bundle: Bundle, variant: Variant, threads: int, engine: str = "onnxruntime", asked: str | None = None
    ) -> None:
        from mirrorkit.runtime.encoding import Encoding
        from mirrorkit.runtime.opening import open_variant
        from mirrorkit.runtime.static import open_runner

        opened = open_variant(bundle, variant)
        session: LocalRunner
        if engine == "openvino":
            from mirrorkit.runtime.openvino.session import open_graph

            session = open_graph(opened, "cpu", Precision(asked), threads)
        elif asked == BF16:
            from mirrorkit.runtime.session import open_session

            session = open_session(opened.file, threads=threads, bf16=True)
        else:
            session = open_runner(opened, threads)
        self._encoding = Encoding(opened, session)
        self._asked = self._encoding.call()  # with the model's own prompt and form of vectors
        self.max_length, self.dim, self.pad_id = opened.max_length, self._encoding.dim, opened.pad_id
        self.batch = session.batch

    def encode(self, texts: Sequence[str], on_progress: OnTexts | None = None) -> Floats:
        progress = _Counted(on_progress) if on_progress else None
        return self._encoding.encode(texts, self._asked, progress=progress)

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        return self._encoding.opened.tokenizer.ids(texts, self._asked.before)


class TorchModel:
    """A model folder, run by torch."""

    def __init__(self, folder: str, *, trust_remote_code: bool = False) -> None:
        self._encoder = _fed_encoder(folder, trust_remote_code)
        self.max_length, self.dim = int(self._encoder.max_length), int(self._encoder.dim)
        self.pad_id = int(self._encoder.tokenizer.pad_token_id)

    def encode(self, texts: Sequence[str], on_progress: OnTexts | None = None) -> Floats:
        vectors: Floats = self._encoder.encode(texts, on_progress=on_progress)
        return vectors

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        ids: RaggedIds = self._encoder.tokenize(texts)
        return ids

    def batch(self, input_ids: Ints, mask: Ints) -> Floats:
        fed = [ids[kept == 1].tolist() for ids, kept in zip(input_ids, mask, strict=True)]
        longest, width = max(fed, key=len), input_ids.shape[1]
        if width > len(longest):
            fed.append((longest * (width // len(longest) + 1))[:width])  # a text that long has the others padded
        return self._fed(fed)[: len(input_ids)]

    def _fed(self, rows: list[list[int]]) -> Floats:
        self._encoder.given = RaggedIds.from_blocks([rows])
        try:
            everything = len(rows) * max(self.max_length, *map(len, rows))
            vectors: Floats = self._encoder.encode([""] * len(rows), batch_tokens=everything)
            return vectors
        finally:
            self._encoder.given = None


def _fed_encoder(folder: str, trust_remote_code: bool) -> Any:
    """Load a SentenceEncoder that takes token ids, where some are `given`, in place of those of the texts."""
    from mirrorkit.model.encoder import SentenceEncoder

    class FedEncoder(SentenceEncoder):
        given: RaggedIds | None = None

        def tokenize(
            self, texts: Sequence[str], max_length: int | None = None, *, prompt: str | None = None
        ) -> RaggedIds:
            return super().tokenize(texts, max_length, prompt=prompt) if self.given is None else self.given

        def unpooled(self, prompt: str | None = None) -> int:
            given, self.given = self.given, None
            try:
                return super().unpooled(prompt)
            finally:
                self.given = given

    return FedEncoder.load(folder, trust_remote_code=trust_remote_code)


def full_batch(ids: RaggedIds, batch: int, length: int) -> tuple[Ints, Ints]:
    """Return int64 ids and mask, both [batch, length], filled with the tokens of texts; no padding."""
    tokens = np.resize(ids.flat, batch * length).astype(np.int64).reshape(batch, length)
    return tokens, np.ones_like(tokens)


def candidate_from(order: Mapping[str, Any]) -> Candidate:
    """Return the candidate that gave this `order`, its bundle read and checked again by this process."""
    found = Candidate(**order, bundle=read_bundle(Path(order["folder"])) if order["file"] else None)
    check_hashes([found])
    return found
