"""The processes of a run, as `torchrun` or `accelerate launch` start them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from curation.errors import ConfigError

# A process waits so long for the others: rank 0 may be writing a checkpoint to a slow store.
_PATIENCE = timedelta(hours=1)
_WANTED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def rank() -> int:
    """Return the number of this process among all of the run."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return how many processes the run has on all nodes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def processes() -> Iterator[torch.device]:
    """Join the other processes of the run, if there are any, and yield this one's device.

    Raises `ConfigError` where a node has more processes than GPUs, or the environment is no
    launcher's.
    """
    device = _device()
    if world_size() == 1:
        yield device
        return
    if missing := [name for name in _WANTED if name not in os.environ]:
        raise ConfigError(
            f"the environment has WORLD_SIZE = {world_size()}, but no {missing[0]}: start several "
            "processes with torchrun or accelerate launch"
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= devices:
        raise ConfigError(
            f"torchrun started {os.environ.get('LOCAL_WORLD_SIZE', local + 1)} processes on a node "
            f"with {devices} GPUs; start it with --nproc-per-node {devices}"
        )
    return torch.device("cuda", local)


def first_says(value: Any) -> Any:
    """Return what process 0 passed: every process calls it."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def first_does(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in process 0, which alone calls it; the others wait."""
    return first_says(work() if rank() == 0 else None)


def all_say(value: Any) -> list[Any]:
    """Return what every process passed, by rank."""
    if world_size() == 1:
        return [value]
    box = [None] * world_size()
    dist.all_gather_object(box, value)
    return list(box)


def meet() -> None:
    """Wait for all processes: what one wrote before, others may read after."""
    if world_size() > 1:
        dist.barrier()


def any_says(flag: bool) -> bool:
    """Tell whether any process passed True."""
    if world_size() == 1:
        return flag
    cuda = dist.get_backend() == "nccl"
    asked = torch.tensor([int(flag)], device="cuda" if cuda else "cpu")
    dist.all_reduce(asked, dist.ReduceOp.MAX)
    return bool(asked.item())
