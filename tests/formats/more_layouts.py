"""Further layouts of published folders: how weights, tokenizers, lengths and prompts are stored, on many bodies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.formats.making import PROMPTS, Base, Layout, change, dense, edited, instructor, pooled_by, settings

HUGE = 1000000000000000019884624838656  # what transformers writes for a tokenizer that knows no limit


def sharded(out: Path, base: Base) -> None:
    """Write the weights in several files and an index, as large models have them."""
    import safetensors.torch

    base.plain(out)
    weights = safetensors.torch.load_file(out / "model.safetensors")
    (out / "model.safetensors").unlink()
    names: dict[str, str] = {}
    total = 0
    for number, part in enumerate((dict(list(weights.items())[::2]), dict(list(weights.items())[1::2])), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        safetensors.torch.save_file(part, out / file, metadata={"format": "pt"})
        names |= dict.fromkeys(part, file)
        total += sum(tensor.nbytes for tensor in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": names}
    (out / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def rewritten(change_weights: Callable[[dict[str, Any]], dict[str, Any]], **config: object) -> Callable[..., object]:
    """Return a layout whose weights are stored otherwise."""

    def make(out: Path, base: Base) -> None:
        import safetensors.torch

        base.plain(out)
        weights = change_weights(safetensors.torch.load_file(out / "model.safetensors"))
        safetensors.torch.save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
        change(out / "config.json", **config)

    return make


def halves(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.half() for name, tensor in weights.items()}


def below_a_head(weights: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {**{f"bert.{name}": tensor for name, tensor in weights.items()}, "cls.predictions.bias": torch.zeros(600)}


def old_vocabulary(out: Path, base: Base) -> None:
    """Write vocab.txt alone, with what old tokenizers were told in tokenizer_config.json."""
    base.plain(out)
    words = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (out / "tokenizer.json").unlink()
    (out / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n", encoding="utf-8")
    change(out / "tokenizer_config.json", tokenizer_class="BertTokenizer", do_lower_case=False, strip_accents=True)


def old_merges(out: Path, base: Base) -> None:
    """Write vocab.json and merges.txt alone, as RoBERTa has them."""
    base.plain(out)
    model = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (out / "tokenizer.json").unlink()
    (out / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (out / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    change(out / "tokenizer_config.json", tokenizer_class="RobertaTokenizer", add_prefix_space=True)


def added_tokens(out: Path, base: Base) -> None:
    """Write a model with two tokens more, for which the table was resized, one of them with blanks around it."""
    import tokenizers
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(str(base.folder))
    body.tokenizer.add_tokens(["museum opens", tokenizers.AddedToken("<q>", lstrip=True, rstrip=True)])
    torch.manual_seed(7)
    body.auto_model.resize_token_embeddings(len(body.tokenizer), mean_resizing=False)
    model = SentenceTransformer(modules=[body, Pooling(base.width, "mean")], device="cpu")
    model.save(str(out), create_model_card=False)
    change(out / "config_sentence_transformers.json", prompts={"query": "<q> "})


def old_call_arguments(out: Path, base: Base) -> None:
    """Write what transformers stored of a call long ago, all-mpnet-base-v2's own keys; none of it counts."""
    base.plain(out)
    change(
        out / "tokenizer_config.json", max_length=8, stride=2, truncation_strategy="only_second", pad_token_type_id=0,
        pad_to_multiple_of=8, padding="max_length",
    )  # fmt: skip
    special = {"content": "[MASK]", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    change(out / "special_tokens_map.json", mask_token=special)


def length_unknown(out: Path, base: Base) -> None:
    base.plain(out)
    change(out / "sentence_bert_config.json", max_seq_length=None)
    change(out / "tokenizer_config.json", model_max_length=HUGE)


def tokenizer_beside(out: Path, base: Base) -> None:
    """Write body and pooling in folders of other names than usual."""
    base.plain(out)
    inner = out / "encoder" / "body"
    inner.mkdir(parents=True)
    for file in [f for f in out.iterdir() if f.is_file() and not f.name.startswith(("modules", "config_sent"))]:
        shutil.move(file, inner / file.name)
    (out / "1_Pooling").rename(out / "encoder" / "pool")
    modules = json.loads((out / "modules.json").read_text(encoding="utf-8"))
    modules[0]["path"], modules[1]["path"] = "encoder/body", "encoder/pool"
    (out / "modules.json").write_text(json.dumps(modules), encoding="utf-8")


def half_dense(out: Path, base: Base) -> None:
    """Write a dense layer in half precision behind a body in full."""
    import safetensors.torch

    dense(out, base)
    file = out / "2_Dense" / "model.safetensors"
    safetensors.torch.save_file(halves(safetensors.torch.load_file(file)), file)


def pickled_dense(out: Path, base: Base) -> None:
    import torch

    dense(out, base)
    (out / "2_Dense" / "model.safetensors").unlink()
    torch.save({}, out / "2_Dense" / "pytorch_model.bin")


def layer_weights(out: Path, base: Base) -> None:
    """Write a module that weighs the layers of the body before pooling."""
    base.plain(out)
    modules = json.loads((out / "modules.json").read_text(encoding="utf-8"))
    modules[1]["type"] = "sentence_transformers.models.WeightedLayerPooling"
    (out / "modules.json").write_text(json.dumps(modules), encoding="utf-8")


def twice_normalized(out: Path, base: Base) -> None:
    from sentence_transformers.sentence_transformer import modules

    behind = [modules.Normalize(), modules.LayerNorm(base.width), modules.Dropout(0.1), modules.Normalize()]
    base.wrap(out, modules.Pooling(base.width, "max"), *behind, truncate_dim=8)


# Name -> kind of body and layout.
MORE: dict[str, tuple[str, Layout]] = {
    "weights in shards": ("bert", Layout(sharded)),
    "fp16 weights, dtype float16": ("bert", Layout(rewritten(halves, dtype="float16"))),
    "weights below a masked-LM head": ("bert", Layout(rewritten(below_a_head, architectures=["BertForMaskedLM"]))),
    "vocab.txt alone": ("bert", Layout(old_vocabulary)),
    "vocab.json and merges.txt alone": ("roberta", Layout(old_merges)),
    "added tokens, table resized": ("bert", Layout(added_tokens)),
    "arguments of old calls (all-mpnet)": ("bert", Layout(old_call_arguments)),
    "max_seq_length null, huge model_max_length": ("bert", Layout(length_unknown)),
    "lower-cased unigram": ("xlm-roberta", Layout(settings(do_lower_case=True, max_seq_length=40))),
    "prompt of null": ("bert", Layout(edited("config_sentence_transformers.json", prompts={"query": None}))),
    "INSTRUCTOR on byte-level BPE": ("roberta", Layout(instructor)),
    "INSTRUCTOR on unigram": ("xlm-roberta", Layout(instructor)),
    "folders of other names": ("mpnet", Layout(tokenizer_beside)),
    "Dense in fp16": ("distilbert", Layout(half_dense)),
    "Dense pickled": ("bert", Layout(pickled_dense, "pytorch_model.bin")),
    "Normalize twice, LayerNorm, truncated": ("electra", Layout(twice_normalized)),
    "sinusoidal positions": ("distilbert", Layout(edited("config.json", sinusoidal_pos_embds=True))),
    "ModernBERT, Matryoshka, prompts": (
        "modernbert", Layout(pooled_by("mean", truncate_dim=24, prompts=PROMPTS, default_prompt_name="document")),
    ),
    "DeBERTa-v3, cls": ("deberta-v2", Layout(pooled_by("cls", normalize=False, similarity_fn_name="manhattan"))),
    "ALBERT (paraphrase-albert)": ("albert", Layout(pooled_by("mean", normalize=False))),
    "nomic": ("nomic_bert", Layout(pooled_by("mean", prompts=PROMPTS))),
    "gte": ("gte", Layout(pooled_by("cls"))),
    "jina v3": ("jina_embeddings_v3", Layout(pooled_by("mean", prompts=PROMPTS, default_prompt_name="query"))),
    "EuroBERT": ("eurobert", Layout(pooled_by("mean"))),
    "WeightedLayerPooling": ("bert", Layout(layer_weights, "WeightedLayerPooling")),
}  # fmt: skip
