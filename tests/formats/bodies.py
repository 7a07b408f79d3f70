"""Architectures beyond BERT, with tiny random weights, and the layouts that they are published in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.formats.making import Base, Layout, gemma_chain, pooled_by

# Model type -> kind of tokenizer, special tokens, configuration.
GEMMA = {
    "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16, "use_bidirectional_attention": True,
    "layer_types": ["sliding_attention", "full_attention"],
}  # fmt: skip
DECODER_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("left", {"num_key_value_heads": 2, "head_dim": 8, "rope_theta": 1e4}),
    "llama": ("left", {"num_key_value_heads": 2}),
    "gemma3_text": ("right", GEMMA),
    "fnet": ("right", {}),
    "convbert": ("right", {"embedding_size": 16, "conv_kernel_size": 3}),
    "yoso": ("right", {"use_expectation": True}),
    "big_bird": ("right", {"max_position_embeddings": 2048, "block_size": 16, "num_random_blocks": 1}),
}


def build_body(folder: Path, train: Callable[[str, dict[str, str]], Any]) -> Path:
    """Write a tiny random model of the type that the folder is named after; `train` makes a tokenizer."""
    import torch
    import transformers
    from tokenizers import processors

    side, extra = BODIES[folder.name]
    special = {**DECODER_SPECIAL, "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    tokenizer = train("bpe", special)
    if side == "left":  # a decoder's text ends with the end token, which is what is pooled
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
        )
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    longest = 1024 if "block_size" in extra else 48  # attention in blocks sees a short text whole
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": longest, "padding_side": side,
        "model_input_names": ["input_ids", "attention_mask"], **special,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    sizes = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "max_position_embeddings": 64, "initializer_range": 0.2, "pad_token_id": tokenizer.token_to_id("<pad>"),
        "bos_token_id": tokenizer.token_to_id("<s>"), "eos_token_id": tokenizer.token_to_id("</s>"),
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = transformers.AutoConfig.for_model(
            folder.name, vocab_size=tokenizer.get_vocab_size(), **{**sizes, **extra}
        )
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


def _gemma(out: Path, base: Base) -> None:
    gemma_chain(out, base)


def _static(out: Path, base: Base, *, normalize: bool = False, model2vec: bool = False) -> None:
    """Write a table of token vectors, as sentence-transformers does or with model2vec's own names."""
    import safetensors.torch
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from tokenizers import Tokenizer

    torch.manual_seed(6)
    tokenizer = Tokenizer.from_file(str(base.folder / "tokenizer.json"))
    table = modules.StaticEmbedding(tokenizer, embedding_dim=32)
    behind = [modules.Normalize()] if normalize else []
    SentenceTransformer(modules=[table, *behind], device="cpu").save(str(out), create_model_card=False)
    if model2vec:
        rows = table.embedding.weight.detach()
        mapping = torch.randint(0, 100, (len(rows),))
        weights = torch.rand(len(rows))
        tensors = {"embeddings": rows[:100].contiguous(), "mapping": mapping, "weights": weights}
        safetensors.torch.save_file(tensors, out / "model.safetensors")


def _static_with(**options: bool) -> Callable[[Path, Base], object]:
    return lambda out, base: _static(out, base, **options)


OTHER_BODIES: dict[str, tuple[str, Layout]] = {
    "Qwen3-Embedding": ("qwen3", Layout(pooled_by("lasttoken", prompts={"query": "Instruct: find\nQuery:"}))),
    "llama, lasttoken (e5-mistral)": ("llama", Layout(pooled_by("lasttoken"))),
    "llama, weightedmean (SGPT)": ("llama", Layout(pooled_by("weightedmean", normalize=False))),
    "EmbeddingGemma": ("gemma3_text", Layout(_gemma)),
    "StaticEmbedding": ("bert", Layout(_static_with())),
    "StaticEmbedding, Normalize": ("bert", Layout(_static_with(normalize=True))),
    "model2vec (potion)": ("bert", Layout(_static_with(normalize=True, model2vec=True))),
    "FNet": ("fnet", Layout(pooled_by("mean"), "change with padding")),
    "ConvBERT": ("convbert", Layout(pooled_by("mean"), "change with padding")),
    "YOSO": ("yoso", Layout(pooled_by("mean"), "change with padding")),
    "BigBird": ("big_bird", Layout(pooled_by("mean"), "change with padding")),
}
