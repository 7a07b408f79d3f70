"""Which device and which autocast type to compute with, checked against what the machine has."""

from __future__ import annotations

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require

require("torch", extra="train")
import torch

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> str:
    """Return the device to train on; one that is asked for by name and is not there is an error."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(d for d in ("cuda", "mps", "cpu") if there[d])
    if name not in there:
        raise ConfigError(f"device {name!r}: must be auto, cpu, cuda or mps")
    if not there[name]:
        raise ConfigError(f"device {name}: torch {torch.__version__} sees none on this machine")
    return name


def pick_autocast(name: str, device: str) -> torch.dtype:
    """Return the autocast dtype; `auto` is bf16 where the hardware multiplies it, else fp16 on CUDA, else fp32.

    The weights, the optimizer, the pooling and the loss stay in fp32 whatever it is.
    """
    if name == "auto":
        if device == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        # A CPU without bf16 instructions emulates them, many times slower than fp32.
        fast = device == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
        return torch.bfloat16 if fast else torch.float32
    if name not in _DTYPES:
        raise ConfigError(f"autocast {name!r}: must be auto, fp32, bf16 or fp16")
    if name == "fp16" and device == "cpu":
        raise ConfigError("autocast fp16: needs a GPU; on a CPU use bf16 or fp32")
    return _DTYPES[name]


def autocast_name(dtype: torch.dtype) -> str:
    """Return the name that `pick_autocast` takes for `dtype`."""
    return next(name for name, known in _DTYPES.items() if known == dtype)
