"""Export the encoder itself, pooling and normalisation inside, as one plain-ONNX graph."""

from __future__ import annotations

import copy
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import ExportError, first_line
from mirrorkit.exporter.graph.fp16 import to_half
from mirrorkit.exporter.graph.onnxfile import write
from mirrorkit.exporter.graph.simplify import simplify
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.formats.bundle import AXES, INPUTS, OUTPUTS
from mirrorkit.formats.pooling import Pooling
from mirrorkit.model.backbone import QuietTransformers, has_position_table, positions_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.awkward import LONGEST
from mirrorkit.text.ragged import Ints

require("onnx", extra="export")
require("onnxscript", extra="export")
import onnx_ir as ir
import torch
import torch.export._trace
import transformers
from torch import Tensor
from transformers import masking_utils

# The first opset with Gelu as one operator, erf and all; ONNX Runtime 1.17 and later, the browser and TensorRT read it.
DEFAULT_OPSET = 20
MIN_OPSET = 18  # the oldest that torch's exporter writes
TANH_GELUS = {"NewGELUActivation", "FastGELUActivation", "PytorchGELUTanh", "GELUTanh"}  # one formula, many names
PROBE_TEXTS = (
    "",
    "May",
    "The museum opens at nine on weekdays, and at ten on Sundays; entry is free.",
    "Prices rose by 3.5 % (2021: 2.8 %)!!! See https://example.org/a?b=c ...",
    "自然言語処理は面白い。 Привет, как дела? مرحبا",
    "- " * 600,
    "A sentence that goes on and on, and says little, " * 60,
)
TRACE_SHAPE = (2, 16)  # batch and length while tracing; both are free in the graph


def export_onnx(encoder: SentenceEncoder, file: Path, *, opset: int = DEFAULT_OPSET) -> None:
    """Write `encoder` to `file` as a graph of standard operators with free batch size and length.

    Inputs and outputs are those of `mirrorkit.formats.bundle`. Weights of 2 GB and more go to `file` + "_data". The
    encoder is left as it was. Raises ExportError for what other runtimes could not reproduce, and where the graph
    cannot be traced.
    """
    _refuse(encoder, opset)
    model = _trace(_bare_copy(encoder), opset)
    simplify(model)
    write(model, file)


def export_half(encoder: SentenceEncoder, plain: Path, file: Path) -> None:
    """Write the graph that `export_onnx` has written to `plain` in fp16 to `file`; its outputs stay fp32."""
    model = ir.load(plain)
    to_half(model, _probes(encoder), file.parent)
    write(model, file)


def _probes(encoder: SentenceEncoder) -> list[Ints]:
    """Return rows of ids that show how large the activations get: real text, and tokens at random up to full length."""
    ids = encoder.tokenize(PROBE_TEXTS)
    rows = [ids[i].astype(np.int64) for i in range(len(ids)) if len(ids[i])]
    random = np.random.default_rng(0)
    longest = min(encoder.max_length, LONGEST)
    for length in (longest, min(32, longest), min(8, longest)):
        row = random.integers(0, encoder.backbone.config.vocab_size, length)
        row[0], row[-1] = rows[0][0], rows[0][-1]  # the special tokens, which often reach furthest
        rows.append(row)
    return rows


def _refuse(encoder: SentenceEncoder, opset: int) -> None:
    if encoder.pooling == Pooling.MEAN_PADDED:
        raise ExportError(
            "pooling mean-padded averages over padding, which no other runtime does; it must be mean, cls or max"
        )
    positions = positions_of(encoder.backbone)
    if encoder.max_length > positions and has_position_table(encoder.backbone):
        raise ExportError(f"max_length {encoder.max_length}: this model takes at most {positions} tokens")
    if opset < MIN_OPSET:
        raise ExportError(f"opset {opset}: must be at least {MIN_OPSET}")


def _bare_copy(encoder: SentenceEncoder) -> SentenceEncoder:
    """Return a copy to trace: the weights are the encoder's own, its modules and settings are not."""
    if encoder.layout.static:
        return encoder
    config = copy.deepcopy(encoder.backbone.config)
    kind = type(encoder.backbone)
    options = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
    with torch.device("meta"), _quiet():
        # "eager" is MatMul and Softmax; "sdpa" would bring a guard around each Softmax. Some classes of transformers 4
        # can only be told when they are built.
        backbone = transformers.AutoModel.from_config(config, attn_implementation="eager", **options)
    _share_tensors(encoder.backbone, backbone)
    for module in list(backbone.modules()):
        for name, child in module.named_children():
            if type(child).__name__ in TANH_GELUS:
                setattr(module, name, torch.nn.GELU(approximate="tanh"))
    bare = SentenceEncoder(backbone, encoder.tokenizer, encoder.layout, encoder.max_length)
    _share_tensors(encoder.chain, bare.chain)
    return bare.eval()


def _share_tensors(source: torch.nn.Module, target: torch.nn.Module) -> None:
    """Hang the tensors of `source` into `target`, which is of the same architecture, as fp32 on the CPU."""
    tensors = {
        **dict(source.named_parameters(remove_duplicate=False)),
        **dict(source.named_buffers(remove_duplicate=False)),
    }
    wanted = [*target.named_parameters(remove_duplicate=False), *target.named_buffers(remove_duplicate=False)]
    for name, old in wanted:
        if name not in tensors or tensors[name].shape != old.shape:
            raise ExportError(f"{type(source).__name__}: its {name} is not the one that its config.json describes")
        new = tensors[name].detach().cpu()
        new = new.float() if new.is_floating_point() else new
        owner, _, leaf = name.rpartition(".")
        module = target.get_submodule(owner)
        if isinstance(old, torch.nn.Parameter):
            setattr(module, leaf, torch.nn.Parameter(new, requires_grad=False))
        else:
            setattr(module, leaf, new)


def _trace(encoder: SentenceEncoder, opset: int) -> ir.Model:
    batch, length = TRACE_SHAPE
    length = min(length, encoder.max_length)
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[1, length - 1 :] = 0
    pad = int(encoder.tokenizer.pad_token_id)
    ids = torch.where(mask == 1, 1 if pad == 0 else 0, pad)
    free: Any = dict(enumerate(AXES))
    try:
        with _quiet(), _lean_masks(), torch.no_grad():
            program = torch.onnx.export(
                encoder,
                (ids, mask),
                dynamo=True,
                opset_version=opset,
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
                dynamic_shapes=(free, free),
                verbose=False,
            )
    except Exception as err:  # torch.export raises many types of its own, around what was wrong
        kind, cause = encoder.backbone.config.model_type, err.__cause__ or err
        if "data-dependent" in first_line(cause):
            why = "what its code does next depends on the values of a tensor, which a graph cannot express"
            raise ExportError(f"{kind} cannot be exported: {why}") from err
        raise ExportError(f"{kind}: torch.onnx.export failed ({type(cause).__name__}: {reason(cause)})") from err
    assert program is not None
    return program.model


@contextmanager
def _lean_masks() -> Iterator[None]:
    """Let transformers 5 broadcast the padding mask instead of gathering it element by element; it means the same."""
    masks = masking_utils.ALL_MASK_ATTENTION_FUNCTIONS
    registered = masks["eager"]

    def lean(**given: Any) -> Any:
        if {"q_length", "kv_length"} <= given.keys() and given.get("attention_mask") is not None:
            return _additive_mask(**given)
        return registered(**given)

    masks["eager"] = lean
    try:
        yield
    finally:
        del masks["eager"]  # only this instance's: the registered function is seen again


def _additive_mask(
    *,
    batch_size: Any,
    q_length: Any,
    kv_length: Any,
    mask_function: Any,
    attention_mask: Tensor,
    dtype: torch.dtype = torch.float32,
    **_: Any,
) -> Tensor:
    """Return 0 where a query looks at a key, the lowest number elsewhere: [batch, 1, 1 or queries, keys]."""
    allowed = attention_mask[:, None, None, :].bool()
    if mask_function is not masking_utils.bidirectional_mask_function:
        batch, head = torch.arange(batch_size)[:, None, None, None], torch.zeros(1, 1, 1, 1, dtype=torch.int64)
        rows, columns = torch.arange(q_length)[None, None, :, None], torch.arange(kv_length)[None, None, None, :]
        allowed = allowed & mask_function(batch, head, rows, columns)
    return torch.where(allowed, torch.zeros((), dtype=dtype), torch.finfo(dtype).min)


@contextmanager
def _without_print(module: Any) -> Iterator[None]:
    """Keep one module from printing: torch writes the whole graph, as far as it got, to standard error."""
    if module is None:
        yield
        return
    module.print = lambda *_, **__: None
    try:
        yield
    finally:
        del module.print


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's advice: none of it is for who runs mirrorkit."""
    names = [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in {"torch", "onnxscript", "onnx_ir"}]
    loggers = [logging.getLogger(n) for n in {"torch", "onnxscript", "onnx_ir", *names}]
    before = [(logger, logger.level) for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), QuietTransformers(), _without_print(sys.modules.get("torch.export._trace")):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in before:
            logger.setLevel(level)
