"""The layouts that people have model folders in, and what each refusal says."""

from __future__ import annotations

from tests.formats.making import (
    PROMPTS,
    Layout,
    dense_edited,
    dense_with,
    edited,
    everything,
    foreign_type,
    gemma_chain,
    instructor,
    instructor_of,
    legacy,
    length_beside_tokenizer,
    no_length,
    pooled_by,
    renamed_settings,
    settings,
    stale_truncation,
)

LAYOUTS: dict[str, Layout] = {
    "plain": Layout(pooled_by("mean")),
    "prompts and default (E5)": Layout(pooled_by("mean", prompts=PROMPTS, default_prompt_name="query")),
    "prompts without default (BGE)": Layout(pooled_by("cls", prompts=PROMPTS)),
    "saved by 6, no max_seq_length": Layout(settings(max_seq_length=...)),
    "sentence_roberta_config": Layout(renamed_settings("sentence_roberta_config.json")),
    "sentence_xlnet_config": Layout(renamed_settings("sentence_xlnet_config.json")),
    "48 beside model_max_length 16": Layout(length_beside_tokenizer),
    "no length anywhere": Layout(no_length),
    "stale truncation (all-MiniLM)": Layout(stale_truncation),
    "dot, no Normalize (multi-qa-dot)": Layout(pooled_by("cls", normalize=False, similarity_fn_name="dot")),
    "euclidean (gtr)": Layout(pooled_by("mean", normalize=False, similarity_fn_name="euclidean")),
    "truncate_dim 16": Layout(pooled_by("mean", truncate_dim=16)),
    "truncate_dim beyond": Layout(pooled_by("mean", truncate_dim=640)),
    "include_prompt false (INSTRUCTOR)": Layout(instructor),
    "include_prompt false, cls+weighted+last": Layout(instructor_of("cls", "weightedmean", "lasttoken", "max")),
    "custom_st.Transformer (jina)": Layout(
        foreign_type(0, "custom_st.Transformer"), "modules.json: type 'custom_st.Transformer'"
    ),
    "my_pooling.Pooling": Layout(foreign_type(1, "my_pooling.Pooling"), "modules.json: type 'my_pooling.Pooling'"),
    "tokenizer_args lower": Layout(settings(tokenizer_args={"do_lower_case": False})),
    "tokenizer_args length": Layout(settings(tokenizer_args={"model_max_length": 20}, max_seq_length=40)),
    "processor_kwargs left": Layout(settings(processor_kwargs={"truncation_side": "left"})),
    "config_args": Layout(settings(config_args={"layer_norm_eps": 0.5, "hidden_act": "relu"})),
    "config_args unknown": Layout(settings(config_args={"flux": 3}), "config_args: flux 3"),
    "model_args dtype": Layout(settings(model_args={"torch_dtype": "float32", "attn_implementation": "eager"})),
    "model_args unknown": Layout(
        settings(model_args={"unpad": True}), "sentence_bert_config.json: model_args: unpad True"
    ),
    "processing_kwargs": Layout(
        settings(processing_kwargs={"text": {"max_length": 9}}), "sentence_bert_config.json: processing_kwargs"
    ),
    "truncation_side left": Layout(edited("tokenizer_config.json", truncation_side="left")),
    "padding_side left": Layout(
        edited("tokenizer_config.json", padding_side="left"), "tokenizer_config.json: padding_side 'left'"
    ),
    "adapter beside weights": Layout(
        edited("adapter_config.json", peft_type="LORA", base_model_name_or_path="a/b"),
        "adapter_config.json: an adapter",
    ),
    "Dense tanh (LaBSE)": Layout(dense_with()),
    "Dense without bias (stella)": Layout(dense_with(bias=False, activation_function="Identity")),
    "Dense relu": Layout(dense_with(activation_function="ReLU")),
    "Dense with parameters": Layout(dense_with(activation_function="PReLU")),
    "Dense residual": Layout(dense_with(use_residual=True, activation_function="SiLU")),
    "two Dense (EmbeddingGemma)": Layout(gemma_chain),
    "weightedmean (SGPT)": Layout(pooled_by("weightedmean", normalize=False)),
    "lasttoken (Qwen3)": Layout(pooled_by("lasttoken")),
    "mean_sqrt_len": Layout(pooled_by("mean_sqrt_len_tokens")),
    "max": Layout(pooled_by("max")),
    "mean+cls in this order": Layout(pooled_by(["mean", "cls"])),
    "all poolings": Layout(
        pooled_by(["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"], normalize=False)
    ),
    "everything": Layout(everything),
    "legacy 0_Transformer": Layout(legacy),
    "do_lower_case": Layout(settings(do_lower_case=True)),
    "uncased off, lower on": Layout(settings(do_lower_case=True, tokenizer_args={"do_lower_case": False})),
    "unknown settings key": Layout(settings(pool_twice=True), "sentence_bert_config.json: pool_twice True"),
    "unknown model key": Layout(
        edited("config_sentence_transformers.json", scale=3), "config_sentence_transformers.json: scale 3"
    ),
    "sparse model": Layout(
        edited("config_sentence_transformers.json", model_type="SparseEncoder"), "model_type 'SparseEncoder'"
    ),
    "unknown pooling key": Layout(
        edited("1_Pooling/config.json", pooling_mode_median=True), "1_Pooling/config.json: pooling_mode_median True"
    ),
    "code of its own": Layout(
        edited("config.json", auto_map={"AutoModel": "modeling_x.XModel"}), "config.json: auto_map: AutoModel"
    ),
    "query_length": Layout(settings(query_length=8), "sentence_bert_config.json: query_length 8"),
    "tokens_of_another": Layout(settings(tokenizer_name_or_path="a/b"), "tokenizer_name_or_path 'a/b'"),
    "message modality": Layout(
        settings(modality_config={"message": {"method": "forward", "method_output_name": "last_hidden_state"}}),
        "sentence_bert_config.json: modality_config",
    ),
    "no attention mask": Layout(edited("tokenizer_config.json", model_input_names=["input_ids"]), "model_input_names"),
    "split_special_tokens": Layout(
        edited("tokenizer_config.json", split_special_tokens=True), "tokenizer_config.json: split_special_tokens True"
    ),
    "Dense on tokens (ColBERT)": Layout(
        dense_edited(module_input_name="token_embeddings"),
        "2_Dense/config.json: module_input_name 'token_embeddings'",
    ),
    "Dense activation of its own": Layout(
        dense_edited(activation_function="mine.Swish"),
        "2_Dense/config.json: activation_function 'mine.Swish'",
    ),
    "Router (asymmetric)": Layout(
        foreign_type(2, "sentence_transformers.models.Router"),
        "modules.json: type 'sentence_transformers.models.Router'",
    ),
}
