"""Texts through the encoder in sub-batches, forward and backward, with one of three memories.

plain       all activations of all sub-batches are kept: fastest, most memory.
checkpoint  one graph of which each sub-batch's activations are computed again when needed.
cache       embeddings only are kept; each sub-batch is encoded again, with a graph, to take the
            gradients of its embeddings on. The least memory: one sub-batch's graph at any time. So
            that of the first, whose gradients are taken first, is kept and not computed twice.

Of a text longer than a sub-batch the last two keep one layer at a time (`train.layerwise`). The
second encoding runs with the random numbers of the first, so dropout is the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from train.batching import Indices
from train.layerwise import layer_by_layer
from train.model import M3Model
from train.precision import autocast
from train.ragged import Ragged, map_tensors
from train.scoring import ragged

TokenRows = Sequence[Sequence[int]]
RandomState = tuple[Tensor, list[Tensor]]


@dataclass(slots=True)
class Passes:
    """The sub-batches of a step, the most expensive first: `forward` once, then `backward` once."""

    model: M3Model
    rows: TokenRows
    groups: Sequence[Indices]
    heads: Sequence[str]
    memory: str
    dtype: str
    longest: int = sys.maxsize
    """Tokens; a longer text, alone in its sub-batch, keeps no more than its layers' inputs."""
    _graphs: dict[int, Ragged] = field(default_factory=dict)
    _states: dict[int, RandomState] = field(default_factory=dict)

    def forward(self) -> list[Ragged]:
        """Return the embeddings of each sub-batch, without a graph."""
        # The graph that stays comes last: the others are encoded before it takes memory.
        found = {number: self._embedded(number) for number in reversed(range(len(self.groups)))}
        return [found[number] for number in range(len(self.groups))]

    def _embedded(self, number: int) -> Ragged:
        group = self.groups[number]
        if self.memory == "cache" and number:
            self._states[number] = _random_state()
            with torch.no_grad():
                return self._encode(group)
        encode = self._recomputed if self.memory == "checkpoint" else self._encode
        self._graphs[number] = encode(group)
        return map_tensors(self._graphs[number], Tensor.detach)

    def backward(self, gradients: Iterable[Sequence[Tensor]]) -> None:
        """Take the gradients of each sub-batch's embeddings on to the parameters."""
        for number, given in enumerate(gradients):
            if number in self._graphs:
                part = self._graphs.pop(number)
            else:
                with _replayed(self._states[number]):
                    part = self._encode(self.groups[number])
            _pass_on(part, given)
            del part  # and its graph, before the next is computed

    def _encode(self, group: Indices) -> Ragged:
        rows = [self.rows[i] for i in group.tolist()]
        ids, mask = self.model.pad(rows)
        is_long = self.memory != "plain" and len(rows) == 1 and len(rows[0]) > self.longest
        with autocast(ids.device, self.dtype), layer_by_layer(self.model.encoder, is_long):
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
