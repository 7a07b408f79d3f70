"""Ways to write a model folder, with tiny random weights.

Where sentence-transformers can write a layout it does; the rest are edits of what it wrote, as older releases and
other authors left them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONG = "A sentence that goes on and on and says little, and then says it again with other words, "
TEXTS = (
    "",
    " ",
    "a",
    "May",
    "The museum opens at nine on weekdays, and at ten on Sundays; entry is free.",
    "ÇA COÛTE 3,50 €, n'est-ce pas ?",
    "straße STRASSE İstanbul ıstanbul",
    "自然言語処理は面白い。",
    "Привет, как дела? مرحبا بالعالم",
    "e\u0301 (decomposed) and é (composed)",
    "👩\u200d👩\u200d👧 family, 🇫🇷 flag, ok 👍🏽",
    "[CLS] [MASK] [PAD] and <s> in a text",
    "tabs\tand  double  spaces and\u00a0no-break ones",
    "- " * 40,
    LONG * 4,
    LONG * 40,
)
POSITIONS = 64  # tokens that the base takes
PROMPTS = {"query": "query: ", "document": "passage: ", "long": "Represent this sentence for retrieval: "}


@dataclass(frozen=True)
class Layout:
    """How to make a folder; `refused` is what the refusal says where it cannot be honoured."""

    make: Callable[[Path, Base], object]
    refused: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Base:
    """A tiny random transformer, and sentence-transformers to wrap it."""

    folder: Path  # a plain Hugging Face folder

    def wrap(self, out: Path, *modules: Any, **options: Any) -> Path:
        """Let sentence-transformers write the transformer with `modules` behind it."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Transformer

        body = Transformer(str(self.folder))
        SentenceTransformer(modules=[body, *modules], device="cpu", **options).save(str(out), create_model_card=False)
        return out

    def plain(self, out: Path, mode: Any = "mean", *, normalize: bool = True, **options: Any) -> Path:
        """Let sentence-transformers write transformer, pooling and, with `normalize`, Normalize."""
        from sentence_transformers.sentence_transformer import modules

        behind = [modules.Pooling(self.width, mode), *([modules.Normalize()] if normalize else [])]
        return self.wrap(out, *behind, **options)

    @property
    def width(self) -> int:
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return int(config.get("hidden_size") or config["dim"])


def change(file: Path, **values: object) -> None:
    """Set keys of a JSON object; `...` removes one."""
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    after = {key: value for key, value in {**before, **values}.items() if value is not ...}
    file.write_text(json.dumps(after, indent=2, ensure_ascii=False), encoding="utf-8")


def settings(**values: object) -> Callable[[Path, Base], object]:
    """Return a layout with these keys in sentence_bert_config.json."""

    def make(out: Path, base: Base) -> None:
        base.plain(out)
        change(out / "sentence_bert_config.json", **values)

    return make


def edited(name: str, **values: object) -> Callable[[Path, Base], object]:
    def make(out: Path, base: Base) -> None:
        base.plain(out)
        change(out / name, **values)

    return make


def renamed_settings(name: str) -> Callable[[Path, Base], object]:
    """Return a layout whose length stands in another of the seven files."""

    def make(out: Path, base: Base) -> None:
        base.plain(out)
        (out / "sentence_bert_config.json").unlink()
        (out / name).write_text(json.dumps({"max_seq_length": 24, "do_lower_case": False}), encoding="utf-8")

    return make


def no_length(out: Path, base: Base) -> None:
    base.plain(out)
    change(out / "tokenizer_config.json", model_max_length=...)
    (out / "sentence_bert_config.json").unlink()


def length_beside_tokenizer(out: Path, base: Base) -> None:
    base.plain(out)
    change(out / "sentence_bert_config.json", max_seq_length=48)
    change(out / "tokenizer_config.json", model_max_length=16)


def legacy(out: Path, base: Base) -> None:
    """Write what sentence-transformers 2 left: old paths, old pooling schema, body in a folder of its own."""
    base.plain(out, normalize=False)
    inner = out / "0_Transformer"
    inner.mkdir()
    for file in [f for f in out.iterdir() if f.is_file() and f.name not in ("modules.json",)]:
        if file.name != "config_sentence_transformers.json":
            shutil.move(file, inner / file.name)
    change(out / "config_sentence_transformers.json", prompts=..., default_prompt_name=..., similarity_fn_name=...)
    change(out / "config_sentence_transformers.json", model_type=...)
    (inner / "sentence_bert_config.json").write_text('{"max_seq_length": 32}', encoding="utf-8")
    old = {"word_embedding_dimension": base.width, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (out / "1_Pooling" / "config.json").write_text(json.dumps(old), encoding="utf-8")
    types = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(types)
    ]
    (out / "modules.json").write_text(json.dumps(modules), encoding="utf-8")


def dense(out: Path, base: Base, **options: Any) -> None:
    import torch
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(3)
    behind = [modules.Pooling(base.width, "mean"), modules.Dense(base.width, 24, **options), modules.Normalize()]
    base.wrap(out, *behind)


def dense_with(**options: Any) -> Callable[[Path, Base], object]:
    return lambda out, base: dense(out, base, **{key: _made(value) for key, value in options.items()})


def dense_edited(**values: object) -> Callable[[Path, Base], object]:
    def make(out: Path, base: Base) -> None:
        dense(out, base)
        change(out / "2_Dense" / "config.json", **values)

    return make


def _made(value: Any) -> Any:
    """Return a module of torch.nn by its name; other values as they are."""
    import torch

    return getattr(torch.nn, value)() if isinstance(value, str) else value


def gemma_chain(out: Path, base: Base) -> None:
    """Write mean pooling, two Dense without bias or activation, Normalize: the layout of EmbeddingGemma."""
    import torch
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(4)
    plain = {"bias": False, "activation_function": torch.nn.Identity()}
    first, second = modules.Dense(base.width, 48, **plain), modules.Dense(48, base.width, **plain)
    base.wrap(
        out, modules.Pooling(base.width, "mean"), first, second, modules.Normalize(), prompts=PROMPTS,
        similarity_fn_name="cosine",
    )  # fmt: skip


def everything(out: Path, base: Base) -> None:
    import torch
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(5)
    behind = [
        modules.Pooling(base.width, ["cls", "mean"]),
        modules.Dropout(0.3),
        modules.LayerNorm(2 * base.width),
        modules.Dense(2 * base.width, 40, activation_function=torch.nn.GELU()),
        modules.Normalize(),
        modules.Dense(40, 20, activation_function=torch.nn.Identity()),
    ]
    torch.nn.init.normal_(behind[2].norm.weight)  # type: ignore[union-attr]
    base.wrap(out, *behind, prompts=PROMPTS, default_prompt_name="query", truncate_dim=16, similarity_fn_name="dot")


def instructor(out: Path, base: Base) -> None:
    from sentence_transformers.sentence_transformer import modules

    pooling = modules.Pooling(base.width, "mean", include_prompt=False)
    base.wrap(out, pooling, modules.Normalize(), prompts=PROMPTS)


def instructor_of(*modes: str) -> Callable[[Path, Base], object]:
    def make(out: Path, base: Base) -> None:
        from sentence_transformers.sentence_transformer import modules

        base.wrap(out, modules.Pooling(base.width, list(modes), include_prompt=False), prompts=PROMPTS)

    return make


def foreign_type(number: int, kind: str) -> Callable[[Path, Base], object]:
    def make(out: Path, base: Base) -> None:
        base.plain(out)
        modules = json.loads((out / "modules.json").read_text(encoding="utf-8"))
        modules[number]["type"] = kind
        (out / "modules.json").write_text(json.dumps(modules), encoding="utf-8")

    return make


def stale_truncation(out: Path, base: Base) -> None:
    """Write all-MiniLM-L6-v2's own contradiction: 32 and padding in tokenizer.json, 48 in sentence_bert_config."""
    base.plain(out)
    change(out / "sentence_bert_config.json", max_seq_length=48)
    value = {"max_length": 32, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    padding = {
        "strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]",
    }  # fmt: skip
    change(out / "tokenizer.json", truncation=value, padding=padding)


def pooled_by(mode: Any, **options: Any) -> Callable[[Path, Base], object]:
    return lambda out, base: base.plain(out, mode, **options)
