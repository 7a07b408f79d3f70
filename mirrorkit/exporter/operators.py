"""List the operators that graphs need, in the format that a reduced build of ONNX Runtime reads.

Two sets are joined. The operators of the file: a session without optimisation runs them, and folding constants does so
even where none is left. And those that are left after ONNX Runtime's own optimisation, at the level that the runtime
uses, which puts in fused operators that no file names. Which these are depends on the processor: where the build is for
another one (half precision on ARM), list on that one too; reading several lists is joining them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mirrorkit.errors import BundleError, ConfigError, OutputError
from mirrorkit.extras import require
from mirrorkit.formats.bundle import Bundle
from mirrorkit.formats.files import in_hub_cache
from mirrorkit.paths import local_path
from mirrorkit.publish import check_file_target, publish_file
from mirrorkit.runtime.hub import open_bundle
from mirrorkit.runtime.ort import open_graph
from mirrorkit.verification.graphs import load_graph, nodes_in

SUFFIX = ".required_operators.config"
_FIRST = b"# operators of"  # how a list begins, which tells it from other files
_STANDARD = "ai.onnx"  # how a list calls the domain that a graph leaves empty

Needed = Mapping[tuple[str, int], frozenset[str]]  # (domain, version of its operator set) -> operators


@dataclass(frozen=True)
class OperatorList:
    """What the variants of a bundle need."""

    bundle: Path
    variants: tuple[str, ...]
    onnxruntime: str  # version that optimised the graphs
    original: Needed  # of the files
    optimized: Needed  # left after optimisation

    @property
    def all(self) -> Needed:
        """Return both, joined."""
        return _joined([self.original, self.optimized])

    def text(self) -> str:
        """Return the file: a line `domain;version;operator,operator` for each operator set."""
        lines = [
            f"{_FIRST.decode()} {self.bundle.name} ({', '.join(self.variants)}),",
            f"# as stored and as ONNX Runtime {self.onnxruntime} optimises them here",
            *(f"{domain};{version};{','.join(sorted(names))}" for (domain, version), names in sorted(self.all.items())),
        ]
        return "".join(f"{line}\n" for line in lines)

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        only = {key: names - self.original.get(key, frozenset()) for key, names in self.optimized.items()}
        return {
            "bundle": str(self.bundle),
            "variants": list(self.variants),
            "onnxruntime": self.onnxruntime,
            "operators": _listed(self.all),
            "only_optimized": _listed({key: names for key, names in only.items() if names}),
        }


def required_operators(bundle: str | Path, variants: Sequence[str] | None = None) -> OperatorList:
    """List the operators of some variants of a bundle, by default of all.

    Raises BundleError for a folder that is not a bundle or a graph that cannot be opened, ConfigError for a variant
    that it does not hold.
    """
    ort = require("onnxruntime", extra="onnx")
    found = open_bundle(bundle)
    chosen = tuple(dict.fromkeys(variants)) if variants else tuple(found.variants)
    if not chosen:
        raise BundleError(f"{found.folder}: holds no variants")
    files = [_file(found, name) for name in chosen]
    stored = [operators_of(_read(file)) for file in files]
    return OperatorList(found.folder, chosen, ort.__version__, _joined(stored), _joined(map(_optimized, files)))


def write_operators(found: OperatorList, out: str | Path | None = None) -> Path:
    """Write the list to `out`, by default beside the bundle; raises ConfigError for a place inside of it."""
    home = found.bundle.resolve()
    if out is None and in_hub_cache(home):
        raise ConfigError(f"{home}: is in the hub's cache, where nothing should be written; give a file as `out`")
    file = local_path(out) if out is not None else home.with_name(home.name + SUFFIX)
    if file.resolve().is_relative_to(home):
        raise ConfigError(f"{file}: is inside the bundle, whose files are fixed; write the list beside it")
    check_file_target(file, overwrite=True)
    if file.exists() and not _is_list(file):
        raise OutputError(f"{file}: is not a list of operators, so it is not overwritten")
    with publish_file(file, overwrite=True) as out_file:
        out_file.write(found.text().encode())
    return file


def _is_list(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(_FIRST)) in (_FIRST, b"")


def operators_of(model: Any) -> Needed:
    """Return the operators of an ONNX model, those of inner graphs and of its own functions included."""
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    functions = {(function.domain, function.name) for function in model.functions}
    bodies = [(model.graph.node, model.opset_import), *((f.node, f.opset_import) for f in model.functions)]
    for nodes, imports in bodies:
        versions = {entry.domain: entry.version for entry in imports}
        for node in nodes_in(nodes):
            if (node.domain, node.op_type) not in functions:  # a call of a function is not an operator
                domain = "" if node.domain == _STANDARD else node.domain
                version = versions.get(domain, versions.get(node.domain, 1))
                found[domain or _STANDARD, version].add(node.op_type)
    return {key: frozenset(names) for key, names in found.items()}


def _file(bundle: Bundle, name: str) -> Path:
    return bundle.path(bundle.variant(name).file)


def _read(file: Path) -> Any:
    try:
        return load_graph(file)
    except Exception as err:  # protobuf's own types have no common base
        raise BundleError(f"{file}: not a readable ONNX file ({err})") from err


def _optimized(file: Path) -> Needed:
    """Return the operators that are left once ONNX Runtime has optimised the graph as for the runtime."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "optimized.onnx"
        open_graph(file, optimized=out)
        return operators_of(_read(out))


def _joined(parts: Any) -> Needed:
    found: dict[tuple[str, int], frozenset[str]] = {}
    for part in parts:
        for key, names in part.items():
            found[key] = found.get(key, frozenset()) | names
    return found


def _listed(needed: Needed) -> dict[str, dict[str, list[str]]]:
    value: dict[str, dict[str, list[str]]] = {}
    for (domain, version), names in sorted(needed.items()):
        value.setdefault(domain, {})[str(version)] = sorted(names)
    return value
