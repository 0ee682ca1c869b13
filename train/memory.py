"""How much memory there is, and how much a piece of work takes at its peak."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from curation.errors import ConfigError

_SHARE = 0.8  # of what is free: fragments, other libraries and longer texts want the rest
_CGROUP = Path("/sys/fs/cgroup")


def limit_of(device: torch.device, memory_gb: float) -> int:
    """Return the bytes that may be used beside what is used now; `memory_gb` 0: 80 % of free."""
    if memory_gb:
        return int(memory_gb * 1e9)
    return int(_SHARE * free(device))


def free(device: torch.device) -> int:
    """Return the free bytes of a device, of a CPU's those of this process among its siblings."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + reserved)
    return _free_of_host() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _free_of_host() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError as error:
        raise ConfigError(
            "train.memory_gb = 0: this system does not tell its free memory; give a number"
        ) from error
    fields = dict(line.split(":", 1) for line in lines)
    available = int(fields["MemAvailable"].split()[0]) << 10
    return min(available, _free_of_container(available))


def _free_of_container(otherwise: int) -> int:
    """Return what a control group leaves, which the host's free memory does not tell."""
    try:
        most = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return otherwise
    return otherwise if most == "max" else max(0, int(most) - used)


def peak_of(work: Callable[[], object], device: torch.device) -> int:
    """Return how many bytes more than before a piece of work uses at its peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return int(torch.cuda.max_memory_allocated(device) - before)
    _give_back()
    _forget_peak()
    before = _resident("VmRSS")
    work()
    return max(0, _resident("VmHWM") - before)


def _give_back() -> None:
    """Return to the system what was freed but kept: a measurement would use it up unseen."""
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: VmHWM begins at what is used now
    except OSError as error:
        raise ConfigError(
            "memory cannot be measured on this system; give train.batch_sizes and "
            "train.batch_tokens instead of [] and 0"
        ) from error


def _resident(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise ConfigError(f"/proc/self/status does not tell {name}; give train.batch_sizes")
