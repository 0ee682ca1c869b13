"""Weights, gradients and optimizer states in pieces, one a process (FSDP2), for large encoders.

Each layer of the encoder is a unit that is gathered while it computes and dropped after. A
gradient is summed over processes as soon as a unit has it, so each process keeps its piece alone.
Checkpoints hold whole tensors, the same as without shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from train.model import M3Model


def shard(model: M3Model) -> None:
    """Cut a model's parameters into pieces in place; every process calls it."""
    mesh = init_device_mesh(model.device.type, (dist.get_world_size(),))
    for layer in _layers(model.encoder):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)  # embeddings and heads


def _layers(encoder: nn.Module) -> list[nn.Module]:
    """Return the layers: the members of the longest list of modules."""
    lists = [list(module) for module in encoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])


def whole(value: Any) -> Any:
    """Return a state with the tensors that are cut made whole, on the CPU; every process calls it.

    Other tensors and values stay as they are.
    """
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [whole(item) for item in value]
    return value


def load_weights(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole weights into a model, cut or not; every process calls it."""
    own = model.state_dict()
    found = {name: _like(own[name], tensor) for name, tensor in state.items()}
    model.load_state_dict(found)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a whole state into the optimizer of a model, cut or not; every process calls it."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    pieces = {
        number: {name: _like(parameters[number], value) for name, value in values.items()}
        for number, values in state["state"].items()
    }
    optimizer.load_state_dict(state | {"state": pieces})


def _like(target: Tensor, value: Any) -> Any:
    """Return a tensor cut as `target` is, where it has its shape."""
    if not isinstance(target, DTensor) or value.shape != target.shape:
        return value
    tensor = cast("Tensor", value).to(target.device)
    return distribute_tensor(tensor, target.device_mesh, target.placements)
