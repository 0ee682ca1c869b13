"""One optimisation step's gradients, with memory for one sub-batch of activations.

Texts are encoded in sub-batches of near-equal length. With gradient caching (three phases)
1. all sub-batches are encoded without a graph, keeping only the embeddings;
2. the loss of the whole batch gives the gradients of the embeddings;
3. each sub-batch is encoded again, with the same dropout, and takes those gradients on.
The result is the gradient of the whole batch, whatever the sub-batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from train.batching import Indices, token_batches
from train.data import TextBatch
from train.loss_config import LossConfig
from train.losses import Loss, false_negatives, m3_loss
from train.model import M3Model
from train.scoring import Embeddings, all_scores, concatenate

TokenRows = Sequence[Sequence[int]]


def tokenize_batch(model: M3Model, batch: TextBatch) -> tuple[list[list[int]], list[list[int]]]:
    """Return the token ids of the queries and of the passages."""
    queries = model.tokenize(batch.queries, is_query=True)
    return queries, model.tokenize(batch.passages, is_query=False)


def backward(
    model: M3Model,
    batch: TextBatch,
    tokens: tuple[TokenRows, TokenRows],
    config: LossConfig,
    budget: int,
    *,
    cached: bool,
) -> Loss:
    """Accumulate the gradients of a batch's loss; `budget` is the tokens encoded at once."""
    queries, passages = tokens
    rows = [*queries, *passages]
    groups = token_batches([len(row) for row in rows], budget)
    if not cached or len(groups) == 1:
        parts = [_encode(model, rows, group) for group in groups]
        loss = batch_loss(parts, groups, len(queries), batch, config)
        loss.total.backward()  # type: ignore[no-untyped-call]
        return loss
    states = []
    leaves = []
    for group in groups:
        states.append(_random_state())
        with torch.no_grad():
            leaves.append(_as_leaves(_encode(model, rows, group)))
    loss = batch_loss(leaves, groups, len(queries), batch, config)
    loss.total.backward()  # type: ignore[no-untyped-call]
    for group, state, leaf in zip(groups, states, leaves, strict=True):
        with _replayed(state):
            part = _encode(model, rows, group)
        _pass_on(part, leaf)
    return loss


def batch_loss(
    parts: list[Embeddings],
    groups: list[Indices],
    queries: int,
    batch: TextBatch,
    config: LossConfig,
) -> Loss:
    """Return the loss of a batch from the embeddings of its sub-batches, in any order."""
    order = torch.as_tensor([i for group in groups for i in group.tolist()])
    inverse = torch.argsort(order)
    everything = concatenate(parts)
    embedded_queries = _trimmed(everything.select(inverse[:queries].to(everything.ids.device)))
    embedded_passages = everything.select(inverse[queries:].to(everything.ids.device))
    device = everything.ids.device
    targets = torch.tensor(batch.targets, device=device)
    width = max(map(len, batch.positive_keys))
    keys = [row + [-1] * (width - len(row)) for row in batch.positive_keys]
    excluded = false_negatives(
        torch.tensor(batch.passage_keys, device=device), torch.tensor(keys, device=device), targets
    )
    return m3_loss(all_scores(embedded_queries, embedded_passages), targets, config, excluded)


def _trimmed(part: Embeddings) -> Embeddings:
    """Cut the padding that queries have from being joined with passages."""
    length = int(part.mask.sum(1).max()) + 1
    return Embeddings(
        part.dense,
        part.weights[:, :length],
        part.vectors[:, :length],
        part.ids[:, :length],
        part.mask[:, :length],
    )


def _encode(model: M3Model, rows: TokenRows, group: Indices) -> Embeddings:
    ids, mask = model.pad([rows[i] for i in group.tolist()])
    embeddings: Embeddings = model(ids, mask)
    return embeddings


def _as_leaves(part: Embeddings) -> Embeddings:
    dense, weights, vectors = (t.detach().requires_grad_() for t in part.tensors())
    return Embeddings(dense, weights, vectors, part.ids, part.mask)


def _pass_on(part: Embeddings, leaf: Embeddings) -> None:
    """Send the gradients that the leaves received into the graph of the same texts."""
    pairs = zip(part.tensors(), leaf.tensors(), strict=True)
    connected = [(t, cached.grad) for t, cached in pairs if t.requires_grad]
    torch.autograd.backward([t for t, _ in connected], [gradient for _, gradient in connected])


def _random_state() -> tuple[Tensor, list[Tensor]]:
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return torch.get_rng_state(), devices


class _replayed:  # noqa: N801 - reads as a statement: with _replayed(state)
    """Run a block with an earlier state of the random generators, then go on as before."""

    def __init__(self, state: tuple[Tensor, list[Tensor]]) -> None:
        self._state = state

    def __enter__(self) -> None:
        self._after = _random_state()
        _restore(self._state)

    def __exit__(self, *_: object) -> None:
        _restore(self._after)


def _restore(state: tuple[Tensor, list[Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
