"""More engines that `worker` measures, each run as its own users would run it best.

Like `worker` this needs nothing but the library that is measured, and numpy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Encode = Callable[[list[str]], Any]  # texts -> float32 [n, dim], unit length
TOKENS = 1024  # of a batch, padding included, where the engine leaves batches to its user


def plain_tokenizer(path: str) -> Any:
    """Return the tokenizer of a folder, cutting where the folder says, without padding."""
    from tokenizers import Tokenizer

    about = json.loads((Path(path) / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(Path(path) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(about["model_max_length"])
    return tokenizer


def token_batches(rows: list[list[int]]) -> list[list[int]]:
    """Return the numbers of the rows, longest first, in batches of at most `TOKENS` tokens."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    batches: list[list[int]] = []
    while order:
        count = max(1, TOKENS // max(1, len(rows[order[0]])))
        batches.append(order[:count])
        order = order[count:]
    return batches


def padded(rows: list[list[int]]) -> tuple[Any, Any]:
    """Return int64 ids and mask [n, longest] of rows."""
    import numpy as np

    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask


def mean_of(hidden: Any, mask: Any) -> Any:
    """Return the unit mean of token vectors [n, tokens, dim] over the tokens of a mask."""
    import numpy as np

    summed = np.einsum("bsd,bs->bd", hidden, mask.astype(np.float32))
    return (summed / np.linalg.norm(summed, axis=1, keepdims=True)).astype(np.float32)


def in_token_batches(tokenizer: Any, embed: Callable[[Any, Any], Any]) -> Encode:
    """Return an encoder that runs batches of similar length, one after another."""
    import numpy as np

    def encode(texts: list[str]) -> Any:
        rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        batches = token_batches(rows)
        parts = [embed(*padded([rows[i] for i in batch])) for batch in batches]
        vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
        vectors[np.concatenate(batches)] = np.concatenate(parts)
        return vectors

    return encode


def openvino_raw(path: str, threads: int, what: str) -> Encode:
    """Run an OpenVINO model, `PRECISION:FILE`, with pooling inside: latency hint for one text, throughput for many."""
    return _by_openvino(path, threads, what, "sentence_embedding", lambda vectors, _: vectors)


def transformers_openvino(path: str, threads: int, what: str) -> Encode:
    """Run what transformers' own OpenVINO exporter made, `PRECISION:FILE`, in the same way; the mean is the user's."""
    return _by_openvino(path, threads, what, "last_hidden_state", mean_of)


def _by_openvino(path: str, threads: int, what: str, output: str, pooled: Callable[[Any, Any], Any]) -> Encode:
    """Return an encoder: batches of similar length by an asynchronous queue, or one batch alone."""
    import numpy as np
    import openvino as ov

    precision, _, file = what.partition(":")
    core, tokenizer = ov.Core(), plain_tokenizer(path)
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    one = core.compile_model(file, "CPU", {**hints, "PERFORMANCE_HINT": "LATENCY"})
    port, named = one.output(output), {name for wanted in one.inputs for name in wanted.names}
    opened: list[Any] = []

    def queue() -> Any:
        if not opened:  # who encodes one text never pays for it
            opened.append(
                ov.AsyncInferQueue(core.compile_model(file, "CPU", {**hints, "PERFORMANCE_HINT": "THROUGHPUT"}))
            )
        return opened[0]

    def feeds(ids: Any, mask: Any) -> dict[str, Any]:
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        return {name: given[name] for name in named}

    def encode(texts: list[str]) -> Any:
        rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        batches = token_batches(rows)
        masks = [padded([rows[i] for i in batch]) for batch in batches]
        if len(batches) == 1:
            found = pooled(one(feeds(*masks[0]))[port].copy(), masks[0][1])
            ordered = np.empty_like(found)
            ordered[batches[0]] = found
            return ordered
        vectors: Any = None
        requests = queue()

        def keep(request: Any, number: int) -> None:
            nonlocal vectors
            found = pooled(request.get_tensor(output).data, masks[number][1])
            if vectors is None:
                vectors = np.empty((len(texts), found.shape[1]), dtype=np.float32)
            vectors[batches[number]] = found

        requests.set_callback(keep)
        for number, (ids, mask) in enumerate(masks):
            requests.start_async(feeds(ids, mask), number)
        requests.wait_all()
        return vectors

    return encode


def openvino_genai(path: str, threads: int, _: str) -> Encode:
    """Run OpenVINO GenAI's own pipeline, its tokenizer, pooling and norm included."""
    import numpy as np
    import openvino_genai as genai  # type: ignore[import-not-found]

    config = genai.TextEmbeddingPipeline.Config()
    config.pooling_type, config.normalize = genai.TextEmbeddingPipeline.PoolingType.MEAN, True
    about = json.loads((Path(path) / "tokenizer_config.json").read_text(encoding="utf-8"))
    config.max_length = about["model_max_length"]
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    pipeline = genai.TextEmbeddingPipeline(path, "CPU", config, **hints)

    def encode(texts: list[str]) -> Any:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))  # it pads what it is given at once
        parts = [order[start : start + 32] for start in range(0, len(order), 32)]
        found = [pipeline.embed_documents([texts[i] for i in part]) for part in parts]
        vectors = np.empty((len(texts), len(found[0][0])), dtype=np.float32)
        vectors[order] = np.concatenate([np.array(some, dtype=np.float32) for some in found])
        return vectors

    return encode


def ctranslate2(path: str, threads: int, what: str) -> Encode:
    """Run a CTranslate2 model, `TYPE:FOLDER`; several batches at a time where there are several threads."""
    import ctranslate2 as ct2  # type: ignore[import-not-found]
    import numpy as np

    kind, _, folder = what.partition(":")
    tokenizer = plain_tokenizer(path)
    single = ct2.Encoder(folder, compute_type=kind, inter_threads=1, intra_threads=threads)
    several = ct2.Encoder(folder, compute_type=kind, inter_threads=threads, intra_threads=1)
    pool = ThreadPoolExecutor(threads)

    def encode(texts: list[str]) -> Any:
        rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        batches = token_batches(rows)
        encoder = several if len(batches) > 1 else single

        def run(batch: list[int]) -> Any:
            some = [rows[i] for i in batch]
            return mean_of(np.array(encoder.forward_batch(some).last_hidden_state), padded(some)[1])

        found = list(pool.map(run, batches)) if len(batches) > 1 else [run(batches[0])]
        vectors = np.empty((len(texts), found[0].shape[1]), dtype=np.float32)
        for batch, some in zip(batches, found, strict=True):
            vectors[batch] = some
        return vectors

    return encode


def llama_cpp(_: str, threads: int, file: str) -> Encode:
    """Run a GGUF file by llama.cpp; its batches are of as many tokens as ours."""
    import numpy as np
    from llama_cpp import LLAMA_POOLING_TYPE_MEAN, Llama  # type: ignore[import-not-found]

    model = Llama(
        file,
        embedding=True,
        pooling_type=LLAMA_POOLING_TYPE_MEAN,
        n_ctx=TOKENS,
        n_batch=TOKENS,
        n_ubatch=TOKENS,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )
    return lambda texts: np.array(model.embed(texts, normalize=True), dtype=np.float32)


def embed_anything(_: str, threads: int, home: str) -> Encode:
    """Run a model by EmbedAnything's candle, from a cache of the hub in which it is local/model."""
    os.environ |= {"HF_HOME": home, "RAYON_NUM_THREADS": str(threads)}
    import embed_anything as ea  # type: ignore[import-not-found]
    import numpy as np

    model = ea.EmbeddingModel.from_pretrained_hf("local/model")
    config = ea.TextEmbedConfig(batch_size=32)

    def encode(texts: list[str]) -> Any:
        found = np.array([one.embedding for one in ea.embed_query(texts, embedder=model, config=config)], np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return encode


def transformers_export(path: str, threads: int, file: str) -> Encode:
    """Run what transformers' own exporter made, in ONNX Runtime; the mean and the length are the user's to take."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    named = {port.name for port in session.get_inputs()}

    def embed(ids: Any, mask: Any) -> Any:
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        hidden = session.run(["last_hidden_state"], {name: feeds[name] for name in named})[0]
        return mean_of(hidden, mask)

    return in_token_batches(plain_tokenizer(path), embed)


def torch_compile(path: str, threads: int, _: str) -> Encode:
    """Load a folder with sentence-transformers and compile its transformer for any shape."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(path, device="cpu")
    model[0].auto_model = torch.compile(model[0].auto_model, dynamic=True)
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


ENGINES: dict[str, Callable[[str, int, str], Encode]] = {
    "openvino-raw": openvino_raw,
    "transformers-openvino": transformers_openvino,
    "openvino-genai": openvino_genai,
    "ctranslate2": ctranslate2,
    "llama.cpp": llama_cpp,
    "embed-anything": embed_anything,
    "transformers-export": transformers_export,
    "torch-compile": torch_compile,
}
