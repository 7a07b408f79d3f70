"""What each library that people load bundles with would read from a folder, and whether it gets the right vectors.

Every rule was read from that library's own code. No library is run: these are looks at files and signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.formats.json_file import object_or_empty, read_json
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.model_folder import ModelLayout
from mirrorkit.formats.model_safety import check_model_folder
from mirrorkit.formats.pooling import Pooling
from mirrorkit.formats.usage import Usage
from mirrorkit.runtime.session import HIDDEN, POOLED, Signature
from mirrorkit.verification.native_tokenizer import alike_tokens, not_read
from mirrorkit.verification.problem import Problem, Severity, Stage

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
OLD_MODULES = "sentence_transformers.models."  # the paths that every release so far has resolved
_ENDLESS = 1_000_000  # tokens; transformers writes 1e30 for "no limit known"

Finding = tuple[Severity, str]


@dataclass(frozen=True)
class Contents:
    """A folder as its reader sees it. `pooling` and `max_length` are the truth where it is known."""

    folder: Path
    pooling: str | None  # one or several joined by +
    max_length: int | None
    graphs: Mapping[str, Signature]  # by path relative to the folder; those that ONNX Runtime opens
    ours: bool  # a bundle
    usage: Usage = field(default_factory=Usage)  # prompts, and whether the model's vectors have unit length
    pools_only: bool = True  # whether pooling, and unit length, make the model's vectors of token vectors

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def json(self, name: str) -> Mapping[str, Any]:
        """Return the object in a file; empty where there is none to be read."""
        return object_or_empty(self.folder / name)

    def static(self) -> bool:
        """Return whether a table of token vectors stands in the transformer's place, without a 1_Pooling behind it."""
        try:
            return read_layout(self.folder, with_graph=True).static
        except ModelError:  # which others report
            return False

    def graph(self, *names: str) -> Signature | None:
        return next((self.graphs[name] for name in names if name in self.graphs), None)


def lint(contents: Contents) -> list[Problem]:
    """Return what is wrong, or worth knowing, for each consumer."""
    return [
        Problem(Stage.CONSUMERS, what, where=consumer, severity=severity)
        for consumer, rules in _RULES.items()
        for severity, what in rules(contents)
    ]


def verdicts(problems: list[Problem]) -> dict[str, str]:
    """Return for each consumer: right, right with settings, or wrong."""
    words = {ERROR: "wrong", WARNING: "needs care", NOTE: "right"}
    order = list(Severity)
    return {
        consumer: words[min((p.severity for p in problems if p.where == consumer), key=order.index, default=NOTE)]
        for consumer in _RULES
    }


def _sentence_transformers(c: Contents) -> Iterator[Finding]:
    if not c.has("modules.json"):
        mean = c.pooling == Pooling.MEAN
        yield (
            WARNING if mean or c.pooling is None else ERROR,
            "no modules.json: it would use mean pooling and not normalise the vectors",
        )
    else:
        try:
            check_model_folder(c.folder)
            yield from _modules(c, read_layout(c.folder))
        except ModelError as err:
            yield ERROR, str(err)
    if not any(c.folder.rglob("*.safetensors")):
        pickled = any(c.folder.glob("pytorch_model*.bin"))
        yield (
            WARNING,
            f"no safetensors weights, {'only pickled ones' if pickled else 'so its torch backend cannot load'}",
        )
    graph = c.graph("onnx/model.onnx", "model.onnx")
    if graph is not None and graph.output(*HIDDEN) is None:
        yield ERROR, f"its ONNX backend needs an output {' or '.join(HIDDEN)}, the graph has {_names(graph)}"
    if graph is None and c.graphs:
        yield WARNING, f"its ONNX backend looks for onnx/model.onnx; there is {', '.join(c.graphs)}: name it"


def _modules(c: Contents, layout: ModelLayout) -> Iterator[Finding]:
    modules = read_json(c.folder / "modules.json")
    kinds = [str(module["type"]) for module in modules]
    new = [kind for kind in kinds if not kind.startswith(OLD_MODULES)]
    if new:
        yield WARNING, f"modules.json names {new[0]}, which releases before 6 do not know"
    if c.usage.normalized and not any(kind.endswith(".Normalize") for kind in kinds):
        severity = ERROR if c.ours else WARNING
        yield severity, "modules.json has no Normalize, so its vectors are not of unit length"
    if c.pooling is not None and layout.pooling != c.pooling:
        yield ERROR, f"would pool by {layout.pooling}, the model's is {c.pooling}"
    # A table of token vectors cuts nothing there; the bundle's own limit is longer than any text that is read.
    if c.max_length is not None and layout.max_length != c.max_length and not layout.static:
        yield (
            ERROR if c.ours else WARNING,
            f"cuts text at {layout.max_length or 'a length of its own'} tokens, the model at {c.max_length}",
        )


def _optimum(c: Contents) -> Iterator[Finding]:
    graph = c.graph("onnx/model.onnx", "model.onnx")
    if graph is None:
        yield WARNING, "no onnx/model.onnx: it would export the weights again, or not load"
        return
    if graph.output("last_hidden_state") is None:
        yield ERROR, f"ORTModelForFeatureExtraction takes last_hidden_state by name, the graph has {_names(graph)}"
    if not c.has("config.json"):
        yield ERROR, "no config.json"
    yield from _own_work(c)
    last = " and normalise" if c.usage.normalized else ""
    yield NOTE, f"gives token vectors: pool by {c.pooling or 'the right pooling'}{last} yourself"


def _transformers_js(c: Contents) -> Iterator[Finding]:
    yield from _missing(c, "config.json", "tokenizer.json", "tokenizer_config.json")
    graph = c.graph("onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_fp16.onnx", "onnx/model_q4.onnx")
    if graph is None:
        yield ERROR, "no graph in onnx/ under a name that it looks for (model.onnx, model_quantized.onnx, …)"
        return
    if graph.output("last_hidden_state", "logits", "token_embeddings") is None:
        yield ERROR, f"its feature-extraction pipeline needs token vectors, the graph has {_names(graph)}"
    yield from _own_work(c)
    if c.pooling in (Pooling.CLS, Pooling.MEAN):
        unit = str(c.usage.normalized).lower()
        yield NOTE, f"pass {{ pooling: '{c.pooling}', normalize: {unit} }}: it reads no pooling from the folder"
    else:
        yield WARNING, f"its pipeline has no {c.pooling or 'known'} pooling: call the model, read {POOLED}"
    if "onnx/model_quantized.onnx" not in c.graphs:
        yield NOTE, "no onnx/model_quantized.onnx, its default in a browser: pass dtype"


def _fastembed(c: Contents) -> Iterator[Finding]:
    yield from _missing(c, "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    config = c.json("tokenizer_config.json")
    limits = [config.get(key) for key in ("model_max_length", "max_length")]
    whole = [n for n in limits if isinstance(n, int) and not isinstance(n, bool) and 0 < n < _ENDLESS]
    if not whole:
        yield ERROR, f"tokenizer_config.json needs an integer model_max_length, has {limits[0]!r}"
    elif c.max_length is not None and min(whole) != c.max_length:
        yield ERROR if c.ours else WARNING, f"cuts text at {min(whole)} tokens, the model at {c.max_length}"
    if config.get("pad_token") is None:
        yield ERROR, "tokenizer_config.json names no pad_token"
    if not c.graphs:
        yield ERROR, "no ONNX graph"
        return
    yield from _own_work(c)
    graph = c.graph("onnx/model.onnx", "model.onnx") or next(iter(c.graphs.values()))
    rank = len(graph.outputs[0].shape) if graph.outputs else 0
    if rank == 2:
        yield WARNING, "output 0 is pooled already: add it with PoolingType.DISABLED"
    elif rank != 3:
        yield ERROR, f"takes output 0 as token vectors, which is {graph.outputs[0] if graph.outputs else 'missing'}"
    elif c.pooling in (Pooling.CLS, Pooling.MEAN):
        how = f"PoolingType.{c.pooling.upper()}, normalization={c.usage.normalized}"
        yield NOTE, f"add it with {how}: it reads no pooling from the folder"
    else:
        yield WARNING, f"has no {c.pooling or 'known'} pooling for token vectors, its output 0"


def _own_work(c: Contents) -> Iterator[Finding]:
    """Yield what a library that knows token vectors alone leaves to its caller."""
    if c.usage.prompt():
        yield WARNING, f"puts no prompt before a text: do it yourself ({c.usage.prompt()!r})"
    if not c.pools_only:
        yield (
            WARNING,
            f"pooling token vectors does not give the model's vectors: more stands behind it; read {POOLED}",
        )


def _text_embeddings_inference(c: Contents) -> Iterator[Finding]:
    yield from _missing(c, "config.json", "tokenizer.json")
    names = c.json("config.json").get("architectures")
    if not names:
        yield ERROR, "config.json has no architectures, without which it does not start"
    elif any(str(name).endswith("Classification") for name in names):
        yield ERROR, f"would serve it as a classifier: architectures {', '.join(map(str, names))}"
    if c.static():
        yield WARNING, "serves no table of token vectors: config.json has no max_position_embeddings, so it stops"
        return
    yield from _pooling_for_tei(c)
    if c.usage.prompt():
        yield WARNING, f"puts no prompt before a text unless told: --default-prompt-name {c.usage.default_prompt}"
    if c.has("model.onnx") and c.has("onnx/model.onnx"):
        yield WARNING, "takes model.onnx at the top, not onnx/model.onnx"
    graph = c.graph("model.onnx", "onnx/model.onnx")
    if graph is None:
        yield WARNING, "no onnx/model.onnx: only its torch-weights backend can serve this"
    elif graph.output(POOLED, *HIDDEN) is None:
        yield ERROR, f"needs an output {POOLED} or {' or '.join(HIDDEN)}, the graph has {_names(graph)}"
    if not c.has("sentence_bert_config.json"):
        yield NOTE, "no sentence_bert_config.json: it cuts text at the model's positions"


def _pooling_for_tei(c: Contents) -> Iterator[Finding]:
    config = c.json("1_Pooling/config.json")
    if not config:
        yield ERROR, "no 1_Pooling/config.json: it starts only with --pooling"
        return
    if "pooling_mode_cls_token" not in config:
        yield ERROR, "1_Pooling/config.json is in the new schema, which it does not read: give --pooling"
        return
    read = next((p for p, key in _TEI_KEYS.items() if config.get(key)), None)
    graph = c.graph("model.onnx", "onnx/model.onnx")
    pooled_inside = graph is not None and graph.output(POOLED) is not None
    if read is None:
        advice = f"give --pooling mean: the graph's {POOLED} is taken anyway" if pooled_inside else "it does not start"
        yield WARNING if pooled_inside else ERROR, f"knows only cls and mean pooling: {advice}"
    elif c.pooling is not None and read != c.pooling and not pooled_inside:
        yield ERROR, f"would pool by {read}, the model's is {c.pooling}"


_TEI_KEYS = {Pooling.CLS: "pooling_mode_cls_token", Pooling.MEAN: "pooling_mode_mean_tokens"}  # in its own order


def _triton(c: Contents) -> Iterator[Finding]:
    graph = c.graph("onnx/model.onnx", "model.onnx") or next(iter(c.graphs.values()), None)
    if graph is None:
        yield ERROR, "no ONNX graph"
        return
    if graph.output(POOLED) is None:
        yield WARNING, f"its graph gives {_names(graph)}: pool them yourself"
    fixed = [str(p) for p in (*graph.inputs, *graph.outputs) if p.shape and isinstance(p.shape[0], int)]
    if fixed:
        yield ERROR, f"the batch axis is fixed, so it cannot batch: {fixed[0]}"
    yield NOTE, "takes token ids: tokenise first, with tokenizer.json"


def _libmirrorkit(c: Contents) -> Iterator[Finding]:
    if not c.ours:
        yield WARNING, "opens bundles alone: export the model"
        return
    for what in not_read(c.json("tokenizer.json")):
        yield WARNING, f"does not know {what} of tokenizer.json: neither it nor the npm package opens the bundle"
    if alike := alike_tokens(c.folder / "tokenizer.json"):
        names = ", ".join(map(repr, alike[:4]))
        yield WARNING, f"like the npm package, refuses added tokens that are one once they are normalized: {names}"


def _missing(c: Contents, *names: str) -> Iterator[Finding]:
    for name in names:
        if not c.has(name):
            yield ERROR, f"no {name}"


def _names(graph: Signature) -> str:
    return ", ".join(port.name for port in graph.outputs) or "no outputs"


_RULES: dict[str, Callable[[Contents], Iterator[Finding]]] = {
    "sentence-transformers": _sentence_transformers,
    "optimum": _optimum,
    "transformers.js": _transformers_js,
    "fastembed": _fastembed,
    "text-embeddings-inference": _text_embeddings_inference,
    "Triton": _triton,
    "libmirrorkit": _libmirrorkit,
}
