"""Every key of the files that sentence-transformers writes: honoured, without effect on vectors, or refused.

A key that stands nowhere here may change vectors in a way that nobody knows, so it is refused too. config.json,
tokenizer_config.json and tokenizer.json belong to transformers, which reads them for us as it does for
sentence-transformers; of them only what would be lost behind transformers is listed. Read from the source of
sentence-transformers 6.2.
"""

from __future__ import annotations

from typing import Any

# The file of the transformer's settings, in the order in which sentence-transformers looks: the first with something
# in it counts.
SETTINGS_FILES = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)

_OLD, _NEW, _BASE = (
    "sentence_transformers.models",
    "sentence_transformers.sentence_transformer.modules",
    "sentence_transformers.base.modules",
)


def _paths(kind: str, file: str, *, base: bool) -> dict[str, str]:
    """Return every path by which sentence-transformers itself names a module, old and new."""
    paths = [f"{_OLD}.{kind}", f"{_OLD}.{kind}.{kind}", f"{_NEW}.{kind}"]
    paths.append(f"{_NEW}.{file}.{kind}")  # releases differ in which of the two folders holds Normalize
    if base:
        paths += [f"{_BASE}.{kind}", f"{_BASE}.{file}.{kind}"]
    return dict.fromkeys(paths, kind)


# The module types that are read, by their exact path: a class of the same name elsewhere is another class.
MODULE_TYPES = {
    **_paths("Transformer", "transformer", base=True),
    **_paths("Dense", "dense", base=True),
    **_paths("Normalize", "normalize", base=True),
    **_paths("Pooling", "pooling", base=False),
    **_paths("LayerNorm", "layer_norm", base=False),
    **_paths("Dropout", "dropout", base=False),
    **_paths("StaticEmbedding", "static_embedding", base=False),
}
MODULE_KEYS = {"idx", "name", "path", "type", "kwargs"}

_ABSENT: tuple[Any, ...] = (None, {}, [], "")
_PLAIN_TEXT = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
_SENTENCE: tuple[Any, ...] = (None, "sentence_embedding")

# Keys with the only values that change nothing; `...` is for any value, of what is honoured or has no effect.
MODEL_KEYS: dict[str, tuple[Any, ...]] = {
    "__version__": (...,),
    "requirements": (...,),  # of versions, which say nothing of vectors
    "model_type": (None, "SentenceTransformer"),
    "prompts": (...,),
    "default_prompt_name": (...,),
    "similarity_fn_name": (...,),
    "truncate_dim": (...,),
}
SETTINGS_KEYS: dict[str, tuple[Any, ...]] = {
    "max_seq_length": (...,),
    "do_lower_case": (...,),
    "model_args": (...,),
    "model_kwargs": (...,),
    "tokenizer_args": (...,),
    "processor_kwargs": (...,),
    "config_args": (...,),
    "config_kwargs": (...,),
    "cache_dir": (...,),
    "unpad_inputs": (...,),  # the same numbers without the work on padding
    "transformer_task": (None, "feature-extraction"),
    "modality_config": (None, _PLAIN_TEXT),
    "module_output_name": (None, "token_embeddings"),
    "processing_kwargs": _ABSENT,
    "tokenizer_name_or_path": (None,),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": _ABSENT,
}
POOLING_KEYS: dict[str, tuple[Any, ...]] = {
    "word_embedding_dimension": (...,),  # no reader uses it
    "embedding_dimension": (...,),
    "include_prompt": (...,),
    "pooling_mode": (...,),
    "pooling_mode_cls_token": (...,),
    "pooling_mode_max_tokens": (...,),
    "pooling_mode_mean_tokens": (...,),
    "pooling_mode_mean_sqrt_len_tokens": (...,),
    "pooling_mode_weightedmean_tokens": (...,),
    "pooling_mode_lasttoken": (...,),
}
DENSE_KEYS: dict[str, tuple[Any, ...]] = {
    "in_features": (...,),
    "out_features": (...,),
    "bias": (...,),
    "activation_function": (...,),
    "use_residual": (...,),
    "module_input_name": _SENTENCE,
    "module_output_name": _SENTENCE,
}
LAYER_NORM_KEYS: dict[str, tuple[Any, ...]] = {"dimension": (...,)}
DROPOUT_KEYS: dict[str, tuple[Any, ...]] = {"dropout": (...,)}
NORMALIZE_KEYS: dict[str, tuple[Any, ...]] = {"module_input_name": _SENTENCE, "module_output_name": _SENTENCE}

LOADING: dict[str, tuple[Any, ...]] = dict.fromkeys(
    ("trust_remote_code", "revision", "token", "cache_dir", "local_files_only", "force_download", "proxies"), (...,)
)
# What the transformer is loaded with: the precision and the kernel are ours to choose, all else is refused.
MODEL_ARGS: dict[str, tuple[Any, ...]] = {
    **LOADING,
    "dtype": (...,),
    "torch_dtype": (...,),
    "attn_implementation": (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3"),
    "device_map": (...,),
    "low_cpu_mem_usage": (...,),
    "use_safetensors": (...,),
    "add_pooling_layer": (...,),  # the pooler's output is not used
    "use_cache": (...,),
}
# What the tokenizer is loaded with: transformers honours these, and all of it is in the tokenizer that is written.
TOKENIZER_ARGS: dict[str, tuple[Any, ...]] = {
    **LOADING,
    "use_fast": (...,),
    "model_max_length": (...,),
    "padding_side": (...,),
    "truncation_side": (...,),
    "do_lower_case": (...,),
    "strip_accents": (...,),
    "tokenize_chinese_chars": (...,),
    "add_prefix_space": (...,),
    "add_bos_token": (...,),
    "add_eos_token": (...,),
    "clean_up_tokenization_spaces": (...,),  # of decoding
    "pad_token": (...,),
    "split_special_tokens": (None, False),
}
# Of the files that transformers reads: custom code, which is never run, and what only transformers' own call honours.
CONFIG_REFUSED: dict[str, tuple[Any, ...]] = {"quantization_config": (None,)}
TOKENIZER_REFUSED: dict[str, tuple[Any, ...]] = {"split_special_tokens": (None, False)}

# Of the modules that may stand behind the first one.
LAYER_KEYS = {
    "Pooling": POOLING_KEYS,
    "Dense": DENSE_KEYS,
    "LayerNorm": LAYER_NORM_KEYS,
    "Dropout": DROPOUT_KEYS,
    "Normalize": NORMALIZE_KEYS,
}
