"""The device that an option names, or an error: never another one instead."""

from __future__ import annotations

import os

import torch

from curation.errors import ConfigError, first_line

_DRIVER = "/dev/nvidiactl"  # is there where a driver is


def device_for(name: str, option: str) -> torch.device:
    """Return the device that `option` names.

    Names are auto, cpu and torch's own, as cuda:1. auto is the GPU of this process of a node
    (LOCAL_RANK) where there are GPUs, else the CPU. Raises `ConfigError` where the device is
    missing or does not compute, also where a driver is there and torch cannot use it.
    """
    device = _automatic(option) if name == "auto" else _named(name, option)
    try:
        working = float((torch.ones(2, device=device) + 1).sum().item()) == 4.0
        reason = "" if working else "it computes wrong sums"
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = first_line(error)
    if reason:
        raise ConfigError(f"{option} = {name!r}: {device} does not work ({reason}); {_choices()}")
    return device


def gpus() -> list[torch.device]:
    """Return the GPUs that torch can use."""
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]


def _automatic(option: str) -> torch.device:
    found = gpus()
    if not found:
        if os.path.exists(_DRIVER):
            raise ConfigError(
                f"{option} = 'auto': there is a GPU driver, but torch cannot use a GPU; install a "
                f"torch with CUDA that fits it, or set {option} = 'cpu'"
            )
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= len(found):
        raise ConfigError(
            f"{option} = 'auto': process {local} of this node has no GPU of its own ({len(found)} "
            f"found); start it with --nproc-per-node {len(found)}"
        )
    return found[local]


def _named(name: str, option: str) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"{option} = {name!r} is no device; {_choices()}") from error


def _choices() -> str:
    return f"this machine has: {', '.join(map(str, ['cpu', *gpus()]))}"
