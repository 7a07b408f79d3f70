"""Build a small random model of any masked-LM class that transformers has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import (
    DEBERTA_V3,
    DISTIL_SIZES,
    MODERN,
    PAST_PADDING,
    POSITIONS,
    ROBERTA_SPECIAL,
    SIZES,
    _train_tokenizer,
)

TEXT_SIZES = {**SIZES, "vocab_size": 600, "pad_token_id": 1}
VISION_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
BOTH_WAYS = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
XLM = {"emb_dim": 32, "n_heads": 4, "n_layers": 2, "embed_init_std": 0.2, "init_std": 0.2}
LENGTHS = {"big_bird": 1024}  # tokens; it attends in blocks, which a short text does not fill
# What a type wants beside the sizes that most of them share; `...` is for one that it does not take.
EXTRA: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("bart", "mbart", "mvp"), BOTH_WAYS),
    **dict.fromkeys(("flaubert", "xlm"), XLM),
    **dict.fromkeys(
        ("camembert", "data2vec-text", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"), PAST_PADDING
    ),
    **dict.fromkeys(("ibert", "mpnet"), PAST_PADDING),
    "albert": {"embedding_size": 16},
    "big_bird": {"max_position_embeddings": 2048, "block_size": 16, "num_random_blocks": 1},
    "convbert": {"embedding_size": 16, "conv_kernel_size": 3},
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
    "deberta-v2": DEBERTA_V3,
    "distilbert": DISTIL_SIZES,
    "electra": {"embedding_size": 16},
    "esm": {**PAST_PADDING, "token_dropout": True},
    "funnel": {
        "num_hidden_layers": ..., "block_sizes": [1, 1], "num_decoder_layers": 1, "d_model": 32, "n_head": 4,
        "d_head": 8, "d_inner": 64,
    },
    "layoutlm": {"max_2d_position_embeddings": 64},
    "longformer": {**PAST_PADDING, "attention_window": 16},
    "luke": {**PAST_PADDING, "entity_vocab_size": 10, "entity_emb_size": 8},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "modernbert": MODERN,
    "modernvbert": {"text_config": {"model_type": "modernbert", **TEXT_SIZES}, "vision_config": VISION_SIZES},
    "neomme": {"num_key_value_heads": 2, "head_dim": 16, "embedding_rank": 16},
    "perceiver": {
        "d_model": 32, "d_latents": 32, "num_latents": 8, "num_self_attends_per_block": 1,
        "num_self_attention_heads": 4, "num_cross_attention_heads": 4,
    },
    "reformer": {
        "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh"],
        "attention_head_size": 8, "feed_forward_size": 64, "local_attn_chunk_length": 8, "lsh_attn_chunk_length": 8,
    },
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "roc_bert": {"pronunciation_vocab_size": 10, "shape_vocab_size": 10},
    "squeezebert": {"embedding_size": 32},
    "ultrabert": {"prediction_head_size": 32},
    "ultravbert": {"text_config": {"model_type": "ultrabert", **TEXT_SIZES}, "vision_config": VISION_SIZES},
    "xmod": {**PAST_PADDING, "default_language": "en_XX"},
    "yoso": {"use_expectation": True},
}  # fmt: skip


def masked_lm_classes() -> dict[str, str]:
    """Return the classes of the installed transformers by model type."""
    from transformers.models.auto import modeling_auto

    return dict(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)


def build(kind: str, folder: Path) -> Path:
    """Write a model of the type `kind`, and a tokenizer, to `folder`, which is new."""
    import torch
    import transformers

    from mirrorkit.model.backbone import QuietTransformers

    tokenizer = _train_tokenizer("bpe", ROBERTA_SPECIAL)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": LENGTHS.get(kind, POSITIONS),
        "model_input_names": ["input_ids", "attention_mask"],
        **ROBERTA_SPECIAL,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    ids = {f"{name}_id": tokenizer.token_to_id(token) for name, token in ROBERTA_SPECIAL.items()}
    with torch.random.fork_rng(), QuietTransformers():
        torch.manual_seed(1)
        wanted = {"vocab_size": tokenizer.get_vocab_size(), **SIZES, **ids, **EXTRA.get(kind, {})}
        config = transformers.AutoConfig.for_model(kind, **{k: v for k, v in wanted.items() if v is not ...})
        transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    return folder
