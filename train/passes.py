"""Texts through the encoder in sub-batches, forward and backward, with one of three memories.

plain       all activations of all sub-batches are kept: fastest, most memory.
checkpoint  one graph of which each sub-batch's activations are computed again when needed.
cache       embeddings only are kept; each sub-batch is encoded again, with a graph, to take the
            gradients of its embeddings on. The least memory: nothing of a graph exists before.

The second encoding runs with the random numbers of the first, so dropout is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from train.batching import Indices
from train.model import M3Model
from train.precision import autocast
from train.ragged import Ragged, map_tensors
from train.scoring import ragged

TokenRows = Sequence[Sequence[int]]
RandomState = tuple[Tensor, list[Tensor]]


@dataclass(slots=True)
class Passes:
    """The sub-batches of a step: `forward` once, then `backward` once."""

    model: M3Model
    rows: TokenRows
    groups: Sequence[Indices]
    heads: Sequence[str]
    memory: str
    dtype: str
    _graphs: list[Ragged] = field(default_factory=list)
    _states: list[RandomState] = field(default_factory=list)

    def forward(self) -> list[Ragged]:
        """Return the embeddings of each sub-batch, without a graph."""
        cached = self.memory == "cache" and len(self.groups) > 1
        found = []
        for group in self.groups:
            if cached:
                self._states.append(_random_state())
                with torch.no_grad():
                    part = self._encode(group)
            else:
                part = (
                    self._recomputed(group) if self.memory == "checkpoint" else self._encode(group)
                )
                self._graphs.append(part)
            found.append(map_tensors(part, Tensor.detach))
        return found

    def backward(self, gradients: Iterable[Sequence[Tensor]]) -> None:
        """Take the gradients of each sub-batch's embeddings on to the parameters."""
        for number, (group, given) in enumerate(zip(self.groups, gradients, strict=True)):
            if self._graphs:
                part = self._graphs[number]
                self._graphs[number] = map_tensors(part, Tensor.detach)  # frees its graph after
            else:
                with _replayed(self._states[number]):
                    part = self._encode(group)
            _pass_on(part, given)

    def _encode(self, group: Indices) -> Ragged:
        ids, mask = self.model.pad([self.rows[i] for i in group.tolist()])
        with autocast(ids.device, self.dtype):
            return ragged(self.model(ids, mask), self.heads)

    def _recomputed(self, group: Indices) -> Ragged:
        part: Ragged = checkpoint(self._encode, group, use_reentrant=False, preserve_rng_state=True)
        return part


def _pass_on(part: Ragged, gradients: Sequence[Tensor]) -> None:
    pairs = zip(part.tensors(), gradients, strict=True)
    connected = [(t, g) for t, g in pairs if t.requires_grad and t.numel()]
    if connected:
        torch.autograd.backward([t for t, _ in connected], [g for _, g in connected])


def _random_state() -> RandomState:
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return torch.get_rng_state(), devices


class _replayed:  # noqa: N801 - reads as a statement: with _replayed(state)
    """Run a block with an earlier state of the random generators, then go on as before."""

    def __init__(self, state: RandomState) -> None:
        self._state = state

    def __enter__(self) -> None:
        self._after = _random_state()
        _restore(self._state)

    def __exit__(self, *_: object) -> None:
        _restore(self._after)


def _restore(state: RandomState) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
