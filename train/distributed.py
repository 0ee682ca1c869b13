"""What the processes of a run tell each other in a step: hashes, embeddings, gradients.

Embeddings of different sizes go from each process to all by broadcast, so nothing is padded; their
gradients come back by reduce. Both gloo and nccl have these. One process needs no group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.maxsim import starts_of
from train.ragged import Ragged

_BUCKET = 1 << 25  # elements of gradients summed in one call: 128 MB in fp32


@dataclass(frozen=True, slots=True)
class World:
    """The processes of this run and which one this is."""

    rank: int
    size: int
    device: torch.device
    """Where tensors must lie to be sent."""

    @classmethod
    def current(cls, device: torch.device) -> World:
        """Return the world of the default process group, or that of one process."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size(), device)
        return cls(0, 1, device)

    def gather_rows(self, row: Sequence[int]) -> list[list[int]]:
        """Return the row of every process; all rows have one length."""
        own = torch.tensor(row, dtype=torch.long, device=self.device)
        if self.size == 1:
            return [list(row)]
        rows = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(rows, own)
        return [found.tolist() for found in rows]

    def gather_lists(self, values: Sequence[int]) -> list[list[int]]:
        """Return the list of every process; lengths may differ."""
        sizes = [size for (size,) in self.gather_rows([len(values)])]
        own = torch.tensor(values, dtype=torch.long, device=self.device)
        return [found.tolist() for found in torch.split(self._spread(own, sizes), sizes)]

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums over processes, in float64."""
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(total)
        found: list[float] = total.tolist()
        return found

    def spread(self, own: Ragged) -> tuple[Ragged, list[tuple[int, ...]]]:
        """Return the texts of all processes by rank, and where each rank's rows begin and end.

        The boundaries are of dense vectors, weights and token vectors: `collect` wants them.
        """
        widths = [own.dense.shape[1], own.vectors.shape[1]]
        sizes = [len(own), len(own.weights), len(own.vectors)]
        rows = self.gather_rows([*sizes, *widths])
        texts, weights, vectors, *wide = (list(column) for column in zip(*rows, strict=True))
        dense, many = (
            part.new_empty(0, max(w)) if not len(part) else part
            for part, w in zip((own.dense, own.vectors), wide, strict=True)
        )
        everything = Ragged(
            self._spread(dense, texts),
            self._spread(own.weights, weights),
            self._spread(many, vectors),
            self._spread(own.ids, weights),
            self._spread(own.weight_counts, texts),
            self._spread(own.vector_counts, texts),
        )
        ends = [starts_of(torch.tensor(column)).tolist() for column in (texts, weights, vectors)]
        return everything, [tuple(column) for column in ends]

    def _spread(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """Return the rows of all processes one after the other; `sizes` are how many each has."""
        if self.size == 1:
            return own
        everything = own.new_empty(sum(sizes), *own.shape[1:])
        for rank, part in enumerate(torch.split(everything, list(sizes))):
            if rank == self.rank:
                part.copy_(own)
            if part.numel():
                dist.broadcast(part, src=rank)
        return everything

    def collect(
        self, gradients: Sequence[Tensor], boundaries: Sequence[Sequence[int]]
    ) -> list[Tensor]:
        """Return the sums over processes of the gradients of this process's rows."""
        return [
            self._collect(gradient, ends)
            for gradient, ends in zip(gradients, boundaries, strict=True)
        ]

    def _collect(self, gradient: Tensor, ends: Sequence[int]) -> Tensor:
        if self.size > 1:
            for rank, (first, last) in enumerate(pairwise(ends)):
                if gradient[first:last].numel():
                    dist.reduce(gradient[first:last], dst=rank)
        return gradient[ends[self.rank] : ends[self.rank + 1]]

    @contextmanager
    def summed_gradients(self, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
        """Sum over processes the gradients that the block adds to those that were there."""
        learning = [p for p in parameters if p.requires_grad]
        before = [p.grad for p in learning]
        alone = self.size == 1 or is_sharded(learning)
        if not alone:
            for parameter in learning:
                parameter.grad = None
        yield
        if not alone:
            self._sum_gradients(learning)
            for parameter, gradient in zip(learning, before, strict=True):
                if gradient is not None:
                    parameter.grad = (
                        gradient if parameter.grad is None else parameter.grad.add_(gradient)
                    )

    def _sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their sums; one that no process has stays None."""
        flags = torch.tensor([int(p.grad is not None) for p in parameters], device=self.device)
        dist.all_reduce(flags)
        found = [p for p, flag in zip(parameters, flags.tolist(), strict=True) if flag]
        for parameter in found:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets(found):
            gradients = [p.grad for p in bucket if p.grad is not None]
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.all_reduce(flat)
            pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))


def is_sharded(parameters: Iterable[nn.Parameter]) -> bool:
    """Return whether the parameters are those of a model sharded by `fully_shard`.

    Raises `ValueError` where only some are: their gradients would be summed in two ways.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor  # 0.6 s that one process does not need

    kinds = {isinstance(p, DTensor) for p in parameters}
    if len(kinds) > 1:
        raise ValueError("the model is sharded in part: call fully_shard on the whole model, too")
    return True in kinds


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Yield neighbours of one dtype with at most `_BUCKET` elements together, or one alone."""
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        size = sum(p.numel() for p in bucket) + parameter.numel()
        if bucket and (size > _BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket
