"""The config.pbtxt of each model in a Triton repository.

Triton's dynamic batcher joins requests only where every dimension but the first is equal (its "Ragged Batching" page),
so texts of different length would never meet. The tokenizer therefore pads each request to one of a few widths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import INPUTS
from mirrorkit.formats.engine import OUTPUT
from mirrorkit.formats.profiles import Profile

TEXT = "text"
FIRST_WIDTH = 16  # tokens; each further width is twice the one before
_QUEUE_DELAY = 300  # microseconds that a request waits for others to join it
KINDS = {"cpu": "KIND_CPU", "cuda": "KIND_GPU"}


class Symbol(str):
    """A value that is written without quotes: an enum's."""

    __slots__ = ()


@dataclass(frozen=True)
class ServedModel:
    """What the configurations of a repository say."""

    name: str  # of the ensemble
    platform: str  # of the encoder: onnxruntime_onnx or tensorrt_plan
    file: str  # the encoder's, in its version folder
    dim: int
    ids: str  # int64 or int32
    max_batch: int
    max_length: int  # tokens
    widths: tuple[int, ...]  # tokens that a request may be padded to, ascending
    pad_id: int
    kind: str  # of the encoder's instances, a value of KINDS
    instances: int  # of the encoder, on each device
    profiles: int  # of the engine; 0 without one

    @property
    def tokenizer(self) -> str:
        return f"{self.name}_tokenizer"

    @property
    def encoder(self) -> str:
        return f"{self.name}_encoder"


def widths(max_length: int) -> tuple[int, ...]:
    """Return the widths for texts of up to `max_length` tokens: the longest, and powers of two below it."""
    below = []
    width = FIRST_WIDTH
    while width < max_length:
        below.append(width)
        width *= 2
    return (*below, max_length)


def engine_widths(profiles: Sequence[Profile], max_length: int) -> tuple[int, ...]:
    """Return the widths at which the engine takes one text, the longest included; raises ConfigError without one."""
    starts = (max(profile.min.length, FIRST_WIDTH) for profile in profiles)
    fitting = sorted(width for width in {*widths(max_length), *starts} if width <= max_length)
    fitting = [width for width in fitting if _batches(profiles, width)]
    if max_length not in fitting:
        listed = "; ".join(map(str, profiles))
        raise ConfigError(
            f"no profile of the engine takes one text of {max_length} tokens ({listed}), and Triton sends a single "
            f"text as a batch of one; build it with a profile such as min=1x1,opt=8x32,max=32x{max_length}"
        )
    return tuple(fitting)


def engine_batch(profiles: Sequence[Profile], all_widths: Sequence[int]) -> int:
    """Return the largest batch up to which the engine takes every batch at every width."""
    return min(_batches(profiles, width) for width in all_widths)


def _batches(profiles: Sequence[Profile], width: int) -> int:
    """Return up to how many texts of that width the engine takes any number of, from one on."""
    most = 0
    ranges = sorted((p.min.batch, p.max.batch) for p in profiles if p.min.length <= width <= p.max.length)
    for low, high in ranges:
        if low <= most + 1:
            most = max(most, high)
    return most


def ensemble(served: ServedModel) -> str:
    """Return the configuration of the whole: text in, vectors out."""
    steps = [
        _step(served.tokenizer, {TEXT: TEXT}, {name: name for name in INPUTS}),
        _step(served.encoder, {name: name for name in INPUTS}, {OUTPUT: OUTPUT}),
    ]
    return _pbtxt(
        {
            "name": served.name,
            "platform": "ensemble",
            **_common(served),
            "input": [_tensor(TEXT, "TYPE_STRING", 1)],
            "output": [_tensor(OUTPUT, "TYPE_FP32", served.dim)],
            "ensemble_scheduling": {"step": steps},
        }
    )


def tokenizer(served: ServedModel) -> str:
    """Return the configuration of the first step: text in, ids and mask out, on the CPU."""
    settings = {
        "max_length": str(served.max_length),
        "pad_id": str(served.pad_id),
        "widths": ",".join(map(str, served.widths)),
    }
    return _pbtxt(
        {
            "name": served.tokenizer,
            "backend": "python",
            **_common(served),
            "input": [_tensor(TEXT, "TYPE_STRING", 1)],
            "output": [_tensor(name, f"TYPE_{served.ids.upper()}", -1) for name in INPUTS],
            "instance_group": [{"count": 1, "kind": Symbol("KIND_CPU")}],
            "dynamic_batching": {"max_queue_delay_microseconds": _QUEUE_DELAY},
            "parameters": [{"key": key, "value": {"string_value": value}} for key, value in settings.items()],
            "model_warmup": [_warmup(1, {TEXT: ("TYPE_STRING", 1)})],
        }
    )


def encoder(served: ServedModel) -> str:
    """Return the configuration of the second step: ids and mask in, vectors out."""
    kind = f"TYPE_{served.ids.upper()}"
    group: dict[str, object] = {"count": served.instances, "kind": Symbol(served.kind)}
    if served.profiles:
        group["profile"] = [str(index) for index in range(served.profiles)]  # else Triton takes the first alone
    return _pbtxt(
        {
            "name": served.encoder,
            "platform": served.platform,
            "default_model_filename": served.file,
            **_common(served),
            "input": [_tensor(name, kind, -1) for name in INPUTS],
            "output": [_tensor(OUTPUT, "TYPE_FP32", served.dim)],
            "instance_group": [group],
            "dynamic_batching": {"max_queue_delay_microseconds": _QUEUE_DELAY},
            "model_warmup": [
                _warmup(batch, dict.fromkeys(INPUTS, (kind, served.widths[0])))
                for batch in sorted({1, served.max_batch})
            ],
        }
    )


def _common(served: ServedModel) -> dict[str, object]:
    return {"max_batch_size": served.max_batch, "version_policy": {"latest": {"num_versions": 1}}}


def _tensor(name: str, kind: str, *dims: int) -> dict[str, object]:
    return {"name": name, "data_type": Symbol(kind), "dims": list(dims)}  # the batch goes without saying


def _step(model: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, object]:
    maps = {
        field: [{"key": key, "value": value} for key, value in names.items()]
        for field, names in (("input_map", inputs), ("output_map", outputs))
    }
    return {"model_name": model, "model_version": -1, **maps}


def _warmup(batch: int, inputs: Mapping[str, tuple[str, int]]) -> dict[str, object]:
    """Return a request to make before the model is ready; what it holds lies in files beside the configuration."""
    values = {
        name: {"data_type": Symbol(kind), "dims": [size], "input_data_file": name}
        for name, (kind, size) in inputs.items()
    }
    return {
        "name": f"batch_{batch}",
        "batch_size": batch,
        "inputs": [{"key": key, "value": value} for key, value in values.items()],
    }


def _pbtxt(fields: Mapping[str, object]) -> str:
    return "".join(line + "\n" for key, value in fields.items() for line in _lines(key, value))


def _lines(key: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"{key} {{"
        for inner, content in value.items():
            yield from ("  " + line for line in _lines(inner, content))
        yield "}"
    elif isinstance(value, list):
        for item in value:  # a repeated field
            yield from _lines(key, item)
    else:
        yield f"{key}: {value if isinstance(value, (Symbol, int)) else json.dumps(value)}"
