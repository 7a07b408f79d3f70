"""Time one encoder in a process of its own: `benchmarks.peers` starts a fresh one for each figure.

It runs in other libraries' environments too, so it needs nothing but the library it measures and the files beside it.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __package__:
    from benchmarks.peers import engines_more
else:  # as a program in another library's environment
    import engines_more  # type: ignore[import-not-found, no-redef]

Encode = Callable[[list[str]], Any]  # texts -> float32 [n, dim], unit length


def ours(path: str, threads: int, variant: str) -> Encode:
    """Load a mirrorkit bundle."""
    from mirrorkit.runtime.encoder import Encoder

    encode: Encode = Encoder(path, variant=variant, threads=threads).encode
    return encode


def ours_by_ops(path: str, threads: int, library: str) -> Encode:
    """Load a mirrorkit bundle whose int8 layers libmirrorkit_ops runs."""
    os.environ["MIRRORKIT_OPS"] = library
    return ours(path, threads, "int8-fused")


def ours_by_ops_bf16(path: str, threads: int, library: str) -> Encode:
    """Load a mirrorkit bundle whose fp32 layers libmirrorkit_ops multiplies in bf16."""
    os.environ["MIRRORKIT_OPS"] = library
    return ours(path, threads, "ops-bf16")


def bare(path: str, threads: int, file: str) -> Encode:
    """Run a graph of ours with nothing around it, text by text: the floor of what a start can cost."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    tokenizer = Tokenizer.from_file(str(Path(path) / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(Path(path) / file), options, providers=["CPUExecutionProvider"])

    def one(text: str) -> Any:
        ids = np.array([tokenizer.encode(text).ids])
        return session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]

    return lambda texts: np.stack([one(text) for text in texts])


def sentence_transformers_torch(path: str, threads: int, _: str) -> Encode:
    """Load a folder the way most people do."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(path, device="cpu")
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def sentence_transformers_cuda(path: str, threads: int, _: str) -> Encode:
    """Load a folder on the GPU in half precision, with torch's own fused attention."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    settings = {"dtype": torch.float16, "attn_implementation": "sdpa"}
    model = SentenceTransformer(path, device="cuda", model_kwargs=settings)
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False).astype("float32")


def sentence_transformers_onnx(path: str, threads: int, file: str) -> Encode:
    """Load a folder with sentence-transformers' own ONNX export of it."""
    import onnxruntime
    from sentence_transformers import SentenceTransformer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    settings = {"file_name": file, "session_options": options, "provider": "CPUExecutionProvider"}
    model = SentenceTransformer(path, device="cpu", backend="onnx", model_kwargs=settings)
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def in_batches(texts: list[str], tokenizer: Any, embed: Callable[[Any, Any], Any]) -> Any:
    """Encode in batches of 32 sorted by length, as sentence-transformers does."""
    import numpy as np

    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    parts = []
    for start in range(0, len(order), 32):
        encodings = tokenizer.encode_batch_fast([texts[i] for i in order[start : start + 32]])
        ids = np.array([e.ids for e in encodings], dtype=np.int64)
        parts.append(embed(ids, np.array([e.attention_mask for e in encodings], dtype=np.int64)))
    vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
    vectors[order] = np.concatenate(parts)
    return vectors


def padding_tokenizer(path: str) -> Any:
    """Return the tokenizer of a folder, padding to the longest of a batch and cutting where the folder says."""
    from tokenizers import Tokenizer

    about = json.loads((Path(path) / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(Path(path) / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(about["model_max_length"])
    return tokenizer


def optimum(path: str, threads: int, file: str) -> Encode:
    """Load an ONNX export with optimum alone; the mean and the length are the user's to take, here in numpy."""
    import numpy as np
    import onnxruntime
    from optimum.onnxruntime import ORTModelForFeatureExtraction

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = ORTModelForFeatureExtraction.from_pretrained(
        path, subfolder="onnx", file_name=file, session_options=options, provider="CPUExecutionProvider"
    )
    tokenizer = padding_tokenizer(path)

    def embed(ids: Any, mask: Any) -> Any:
        types = {"token_type_ids": np.zeros_like(ids)} if "token_type_ids" in model.input_names else {}
        hidden = model(input_ids=ids, attention_mask=mask, **types).last_hidden_state
        summed = np.einsum("bsd,bs->bd", hidden, mask.astype(np.float32))
        return summed / np.linalg.norm(summed, axis=1, keepdims=True)

    return lambda texts: in_batches(texts, tokenizer, embed)


def openvino(path: str, threads: int, file: str) -> Encode:
    """Run an OpenVINO model of ours-with-pooling."""
    import openvino as ov

    tokenizer = padding_tokenizer(path)
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    model = ov.Core().compile_model(file, "CPU", hints)
    port = model.output("sentence_embedding")

    def embed(ids: Any, mask: Any) -> Any:
        return model({"input_ids": ids, "attention_mask": mask})[port].copy()

    return lambda texts: in_batches(texts, tokenizer, embed)


def fastembed(path: str, threads: int, file: str) -> Encode:
    """Load a bundle of ours as a custom model of fastembed; batches are its own."""
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    pooling = json.loads((Path(path) / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    TextEmbedding.add_custom_model(
        model="bundle",
        pooling=PoolingType.CLS if pooling["pooling_mode_cls_token"] else PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="local/bundle"),
        dim=pooling["word_embedding_dimension"],
        model_file=file,
    )
    model = TextEmbedding("bundle", specific_model_path=path, threads=threads)
    return lambda texts: np.array(list(model.embed(texts)), dtype=np.float32)


def model2vec(path: str, _: int, __: str) -> Encode:
    """Load static vectors: one lookup a token and a mean, no network."""
    from model2vec import StaticModel  # type: ignore[import-not-found]

    model = StaticModel.from_pretrained(path)
    return lambda texts: model.encode(texts).astype("float32")


def onnxruntime_gpu(path: str, threads: int, what: str) -> Encode:
    """Run a graph of ours on a GPU with the provider that `PROVIDER:FILE` names, and with no other."""
    import onnxruntime

    provider, _, file = what.partition(":")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    more = {"trt_fp16_enable": True} if provider.startswith("Tensorrt") else {}
    session = onnxruntime.InferenceSession(str(Path(path) / file), options, providers=[(provider, more)])
    used = session.get_providers()[0]
    if used != provider:
        raise RuntimeError(f"ONNX Runtime took {used}, not {provider}")
    tokenizer = padding_tokenizer(path)

    def embed(ids: Any, mask: Any) -> Any:
        return session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})[0]

    return lambda texts: in_batches(texts, tokenizer, embed)


ENGINES: dict[str, Callable[[str, int, str], Encode]] = {
    "mirrorkit": ours,
    "mirrorkit-ops": ours_by_ops,
    "mirrorkit-ops-bf16": ours_by_ops_bf16,
    "bare": bare,
    "sentence-transformers": sentence_transformers_torch,
    "sentence-transformers-cuda": sentence_transformers_cuda,
    "sentence-transformers-onnx": sentence_transformers_onnx,
    "optimum": optimum,
    "openvino": openvino,
    "fastembed": fastembed,
    "model2vec": model2vec,
    "onnxruntime-gpu": onnxruntime_gpu,
}


ENGINES |= engines_more.ENGINES


def read_texts(job: dict[str, Any]) -> list[str]:
    """Return the strings in the file that the job names."""
    texts: list[str] = json.loads(Path(job["texts"]).read_text(encoding="utf-8"))
    return texts


def start(encode: Encode, job: dict[str, Any]) -> dict[str, Any]:
    """Encode one short text: all that a fresh process does up to its first vector."""
    encode([job["short"]])
    return {"start_memory_bytes": peak_memory()}


def write_vectors(encode: Encode, job: dict[str, Any]) -> dict[str, Any]:
    """Encode all texts once and write their vectors, float32 [n, dim] without a header."""
    return {"dim": _write(encode, read_texts(job), job["vectors"])}


def _write(encode: Encode, texts: list[str], file: str) -> int:
    vectors = encode(texts)
    assert vectors.shape[0] == len(texts), f"{vectors.shape[0]} vectors for {len(texts)} texts"
    assert str(vectors.dtype) == "float32", f"vectors are {vectors.dtype}, not float32"
    vectors.tofile(file)
    return int(vectors.shape[1])


def measure(encode: Encode, job: dict[str, Any]) -> dict[str, Any]:
    """Warm up, then time passes over all texts, other shapes of texts, and single calls with one short text."""
    texts, short = read_texts(job), [job["short"]]
    _write(encode, texts, job["vectors"])  # the warm-up, and what is compared with the baseline's
    begin = time.process_time()
    passes = [_seconds(encode, texts) for _ in range(job["passes"])]
    processor = (time.process_time() - begin) / (len(passes) * len(texts))
    shapes = {name: _shape(encode, some, job) for name, some in job.get("shapes", {}).items()}
    for _ in range(20):
        encode(short)
    calls = sorted(_seconds(encode, short) * 1e3 for _ in range(job["calls"]))
    return {
        "sentences_per_second": [len(texts) / seconds for seconds in passes],
        "cpu_ms_per_text": 1e3 * processor,
        "shapes": shapes,
        "p50_ms": statistics.median(calls),
        "p90_ms": calls[int(0.9 * len(calls))],
        "peak_memory_bytes": peak_memory(),
    }


def _shape(encode: Encode, texts: list[str], job: dict[str, Any]) -> dict[str, Any]:
    """Return what texts of one kind take, milliseconds a text: all at once, and in calls of so many."""
    encode(texts[: max([1, *job["batches"]])])
    begin, processor = time.perf_counter(), time.process_time()
    encode(texts)
    found = {
        "bulk_ms": 1e3 * (time.perf_counter() - begin) / len(texts),
        "bulk_cpu_ms": 1e3 * (time.process_time() - processor) / len(texts),
    }
    for batch in job["batches"]:
        calls = [texts[start : start + batch] for start in range(0, len(texts) - batch + 1, batch)][
            : job["batch_calls"]
        ]
        found[f"{batch}_ms"] = statistics.median(1e3 * _seconds(encode, call) / batch for call in calls)
    return found


STAGES: dict[str, Callable[[Encode, dict[str, Any]], dict[str, Any]]] = {
    "start": start,
    "vectors": write_vectors,
    "time": measure,
}


def _seconds(encode: Encode, texts: list[str]) -> float:
    begin = time.perf_counter()
    encode(texts)
    return time.perf_counter() - begin


def peak_memory() -> int | None:
    """Return the largest resident memory this process has had, in bytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = (row for row in status.read_text(encoding="ascii").splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    begin = time.perf_counter()
    encoder = ENGINES[asked["engine"]](asked["path"], asked["threads"], asked["file"])
    loaded = time.perf_counter() - begin
    figures = STAGES[asked["stage"]](encoder, asked) | {"load_seconds": loaded}
    print(f"\n{json.dumps(figures)}", flush=True)
    os._exit(0)  # some libraries take a second, or crash, on the way out
