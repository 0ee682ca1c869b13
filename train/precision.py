"""In which precision the encoder computes, and whether it is compiled."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from curation.errors import ConfigError


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[object]:
    """Return the context that runs the encoder in `dtype` (fp32 or bf16)."""
    if dtype == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return bf16 or fp32 for auto, bf16 or fp32: bf16 where the device computes it itself.

    A CPU without such instructions runs bf16 up to 100 times slower than fp32.
    """
    if precision != "auto":
        return precision
    return "bf16" if has_bf16(device) else "fp32"


def has_bf16(device: torch.device) -> bool:
    """Return whether the device has bf16 arithmetic."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    able = _capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def _capabilities() -> dict[str, object]:
    """Return what the CPU can; of torch before 2.8 nothing is known."""
    ask = getattr(torch.cpu, "get_capabilities", dict)
    found: dict[str, object] = ask()
    return found


def compile_encoder(model: nn.Module) -> None:
    """Compile `model.encoder` in place, for any length; its weights keep their names.

    Raises `ConfigError` where there is no working compiler.
    """
    device = next(model.parameters()).device
    try:
        torch.compile(_probe)(torch.ones(8, device=device))
    except Exception as error:  # every back end raises its own
        reason = str(error).strip().partition("\n")[0]
        what = "Triton" if device.type == "cuda" else "a C++ compiler (g++ or clang++)"
        raise ConfigError(
            f"train.compile = true needs {what} that works: {reason}; install it or set "
            "train.compile = false"
        ) from error
    model.get_submodule("encoder").compile(dynamic=True)


def _probe(values: torch.Tensor) -> torch.Tensor:
    return values.sin() + 1
