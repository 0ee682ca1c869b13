"""Inner products and their best k on what the machine has: FAISS on a CPU, torch on GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from curation.errors import ConfigError
from mining.devices import device_for, gpus
from mining.index_exact import Kernel
from mining.shards import Vectors
from mining.top import Found, partial_top


def kernel_for(device: str) -> Kernel:
    """Return the kernel of `mining.index.device`; raise `ConfigError` where it does not work."""
    found = device_for(device, "mining.index.device")
    if found.type == "cpu":
        return faiss_top
    return TorchTop(gpus() if device in ("auto", "cuda") else [found])


def uses_faiss_gpus(device: str) -> bool:
    """Tell whether approximate indexes go to GPUs: where FAISS was built for them, unless cpu."""
    import faiss

    return device != "cpu" and getattr(faiss, "get_num_gpus", lambda: 0)() > 0


def faiss_top(queries: Vectors, passages: Vectors, depth: int) -> Found:
    """Return the best passages by inner product, with FAISS."""
    import faiss

    scores, numbers = faiss.knn(queries, passages, depth, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, numbers


@dataclass(frozen=True, slots=True)
class TorchTop:
    """The same with torch, passages shared among devices."""

    devices: list[torch.device]

    def __call__(self, queries: Vectors, passages: Vectors, depth: int) -> Found:
        """Return the best passages by inner product: each device's, then the best of these."""
        edges = np.linspace(0, len(passages), len(self.devices) + 1).astype(int).tolist()
        try:
            lists = [
                _launch(device, queries, passages[first:last], depth, first)
                for device, (first, last) in zip(self.devices, pairwise(edges), strict=True)
                if first < last
            ]
            host = [(s.cpu().numpy(), n.cpu().numpy()) for s, n in lists]
        except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
            names = ", ".join(map(str, self.devices))
            raise ConfigError(
                f"mining.index.device: searching on {names} failed ({error}); name another device, "
                "or cpu"
            ) from error
        return partial_top(host, depth)


def _launch(
    device: torch.device, queries: Vectors, passages: Vectors, depth: int, first: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Start a device's share, whose first passage is number `first`; nothing waits for it yet."""
    rows = torch.from_numpy(passages).to(device, non_blocking=True)
    product = torch.from_numpy(queries).to(device, non_blocking=True) @ rows.T
    scores, numbers = torch.topk(product, min(depth, len(passages)), dim=1)
    return scores, numbers + first
