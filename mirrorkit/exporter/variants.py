"""Make each ONNX graph of a bundle and prove it; what fails is removed at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.fusion import fuse
from mirrorkit.exporter.graph.trace import export_half, export_onnx
from mirrorkit.exporter.provenance import Provenance
from mirrorkit.exporter.quantize.calibration import CHARACTERS, ordinary_tokens, stirred
from mirrorkit.exporter.quantize.int4 import quantize_int4
from mirrorkit.exporter.quantize.int8 import quantize_int8
from mirrorkit.exporter.result import VariantResult
from mirrorkit.exporter.static.variant import remove_static
from mirrorkit.formats.bundle import VARIANT_FILES, Bundle, Graph, Precision
from mirrorkit.formats.fields import Ranges
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.progress import Progress
from mirrorkit.text.ragged import RaggedIds
from mirrorkit.verification.graphs import external_files, graph_kind
from mirrorkit.verification.problem import Problem, Stage
from mirrorkit.verification.proof import Reference, Verification
from mirrorkit.verification.thresholds import Thresholds
from mirrorkit.verification.verify import Contract, verify_graph

PLAIN = "fp32"
FUSED = {"fp32": "fp32-fused", "int8": "int8-fused"}  # of which graph, and its name
PORTABLE = (PLAIN, "fp16")  # promised to be of standard operators alone


class _NothingToFuseError(Exception):
    """The fused graph would be the one that it is made of."""


@dataclass
class VariantMaker:
    """Makes the graphs of one bundle in its draft and proves each."""

    encoder: SentenceEncoder
    draft: Path
    opset: int
    sample: Sequence[str]  # texts to calibrate on
    reference: Reference
    limits: Mapping[Precision, Thresholds]
    progress: Progress
    notes: list[str] = field(default_factory=list)  # for the user: what was left as it is, and why

    def make_all(self, wanted: Sequence[Precision], optimize: bool) -> tuple[dict[str, VariantResult], list[str]]:
        """Return the results by variant; the plain fp32 graph is made first, for the others come from it."""
        variants = {PLAIN: self.attempt(PLAIN)}
        if not variants[PLAIN].published:
            return variants, self.notes
        for name in (str(precision) for precision in Precision if precision in wanted):
            if name not in variants:
                variants[name] = self.attempt(name)
            if optimize and name in FUSED and variants[name].published:
                try:
                    variants[FUSED[name]] = self.attempt(FUSED[name])
                except _NothingToFuseError:
                    self.notes.append(f"no {FUSED[name]} graph: nothing in this architecture's graph can be fused")
        if Precision.FP32 not in wanted:
            remove_variant(self.draft, PLAIN)
            del variants[PLAIN]
        return variants, self.notes

    def attempt(self, name: str) -> VariantResult:
        """Make and verify a variant; one that fails is removed from the draft."""
        start = time.perf_counter()
        file = self.file(name)
        precision = Precision(name.removesuffix("-fused"))
        verification: Verification | None = None
        problems: tuple[Problem, ...] = ()
        size = 0
        try:
            self.progress.phase(f"making {name}")
            self._makers()[name](file)
            size = file.stat().st_size
            self.progress.phase(f"verifying {name}")
            kind = Graph.ONNX if name in PORTABLE else graph_kind(file)
            data = tuple(file.parent / other for other in sorted(external_files(file)))
            verification = verify_graph(
                file, kind, self._contract(), self.reference, self.limits[precision], data_files=self._own(name, data)
            )
            problems = verification.problems
        except ExportError as err:
            problems = (Problem(Stage.MAKE, str(err)),)
        if problems:
            remove_variant(self.draft, name)
        problems = tuple(replace(problem, where=name) for problem in problems)
        return VariantResult(name, VARIANT_FILES[name], size, verification, problems, time.perf_counter() - start)

    @cached_property
    def _calibration(self) -> RaggedIds:
        return stirred(self.encoder.tokenize([*self.sample, *CHARACTERS]), ordinary_tokens(self.encoder.tokenizer))

    def _contract(self) -> Contract:
        e = self.encoder
        pad_id, pools_only = int(e.tokenizer.pad_token_id), e.layout.pools_only
        return Contract(e.dim, e.max_length, e.pooling, pad_id, e.width, pools_only)

    def describe(self, about: Provenance, ranges: Ranges) -> Bundle:
        """Return what the manifest says of the model; variants and files are still to be filled in."""
        e = self.encoder
        return Bundle(
            folder=self.draft,
            architecture=str(e.backbone.config.model_type),
            dim=e.dim,
            max_length=e.max_length,
            pooling=e.pooling,
            pad_token_id=int(e.tokenizer.pad_token_id),
            variants={},
            files={},
            provenance=about.as_dict(),
            usage=e.usage,
            width=e.width,
            pools_only=e.layout.pools_only,
            scalar_ranges=ranges,
            truncate_dims=about.truncate_dims,
        )

    def file(self, name: str) -> Path:
        return self.draft / VARIANT_FILES[name]

    def _own(self, name: str, data: tuple[Path, ...]) -> tuple[Path, ...]:
        """Return those of the weight files that a variant may have: its own; a fused graph also its source's."""
        owners = (name, name.removesuffix("-fused"))
        allowed = {f.name for owner in owners for f in (self.file(owner), _beside(self.file(owner)))}
        return tuple(path for path in data if path.name in allowed)

    def _makers(self) -> dict[str, Callable[[Path], object]]:
        plain = self.file(PLAIN)
        pad_id = int(self.encoder.tokenizer.pad_token_id)
        return {
            PLAIN: lambda out: export_onnx(self.encoder, out, opset=self.opset),
            "fp16": lambda out: export_half(self.encoder, plain, out),
            "int8": lambda out: quantize_int8(plain, out, self._calibration, pad_id=pad_id),
            "int4": lambda out: quantize_int4(plain, out, self._calibration, pad_id=pad_id),
            **{fused: partial(self._fuse, source) for source, fused in FUSED.items()},
        }

    def _fuse(self, source: str, out: Path) -> None:
        heads = int(getattr(self.encoder.backbone.config, "num_attention_heads", 0))
        report = fuse(self.file(source), out, num_heads=heads, hidden_size=self.encoder.width)
        self.notes += [f"{FUSED[source]}: {reason}" for reason in report.reasons()]
        if not report.fused:
            remove_variant(self.draft, FUSED[source])
            raise _NothingToFuseError


def remove_variant(draft: Path, name: str) -> None:
    """Remove a variant's graph and its own weights beside it."""
    if name == Precision.STATIC:
        remove_static(draft)
        return
    file = draft / VARIANT_FILES[name]
    for path in (file, _beside(file)):
        path.unlink(missing_ok=True)


def _beside(file: Path) -> Path:
    return file.with_name(file.name + "_data")
