"""The loss of a batch from its embeddings, and the gradients of these, over all processes.

Each process takes the loss of its own queries against the passages of all, a slice of queries at a
time, divided by the number of queries of all; gradients of passages go back to who encoded them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curation.errors import ConfigError
from train.data import TextBatch
from train.distributed import World
from train.loss_config import LossConfig
from train.losses import Divisors, Loss, loss_parts, m3_loss
from train.negatives import Columns, Share, false_negatives, teaching
from train.ragged import Ragged, map_tensors
from train.scoring import all_scores, dense_scores


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The loss of a batch over all processes, the same in each, with what a log wants to know."""

    total: float
    parts: dict[str, float]
    counts: dict[str, int]
    """queries, passages, masked (pairs that are no negatives), taught, untaught (queries), and
    weightless (texts without a sparse weight)."""


def batch_losses(
    world: World,
    texts: Ragged,
    plan: Columns,
    batch: TextBatch,
    config: LossConfig,
    max_pairs: int,
) -> tuple[StepLoss, list[Tensor]]:
    """Return the loss, and the gradients of the embeddings that this process encoded."""
    split = len(batch.queries)
    end = split + len(plan.owned)
    everything, boundaries = texts.texts(split, end), None
    if config.cross_device:
        everything, boundaries = world.spread(everything)
    queries, passages = (map_tensors(side, _leaf) for side in (texts.texts(0, split), everything))
    divisors = _divisors(world, plan, config)
    with torch.autocast(world.device.type, enabled=False):
        losses = list(_slices(queries, passages, plan, batch, config, divisors, max_pairs))
    gradients = [_gradient(t) for t in passages.tensors()]
    if boundaries is not None:
        gradients = world.collect(gradients, boundaries)
    idle = map(torch.zeros_like, texts.texts(end, len(texts)).tensors())
    parts = zip(queries.tensors(), gradients, idle, strict=True)
    weightless = _weightless(texts.texts(0, end)) if "sparse" in config.heads else 0
    return _summed(world, losses, plan, batch, config, weightless), [
        torch.cat([_gradient(q).reshape(len(q), *g.shape[1:]), g, i.reshape(len(i), *g.shape[1:])])
        for q, g, i in parts
    ]


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _divisors(world: World, plan: Columns, config: LossConfig) -> Divisors:
    """Return what sums are divided by: with local negatives, so that local means are averaged."""
    if config.cross_device:
        return Divisors(plan.queries, plan.taught)
    ranks = world.sum([float(plan.queries > 0)])[0]
    return Divisors(plan.queries * ranks, plan.taught * ranks)


def _slices(
    queries: Ragged,
    passages: Ragged,
    plan: Columns,
    batch: TextBatch,
    config: LossConfig,
    divisors: Divisors,
    max_pairs: int,
) -> Iterator[Loss]:
    """Yield the loss of slices of the queries, each taken back to the embeddings at once."""
    device = queries.dense.device
    targets = torch.tensor([plan.column_of[i] for i in batch.targets], device=device)
    excluded = false_negatives(plan.keys, plan.known, targets.tolist())
    taught = teaching(batch, plan.column_of) if config.teacher != "none" else None
    for rows in _query_slices(queries, len(passages), max_pairs):
        some = queries.texts(rows.start, rows.stop)
        loss = m3_loss(
            all_scores(some, passages, config.heads),
            targets[rows],
            config,
            excluded[rows].to(device),
            prefixes=[dense_scores(some, passages, _width(some, w)) for w in config.matryoshka],
            teaching=taught.slice(rows).to(device) if taught else None,
            divisors=divisors,
        )
        loss.total.backward()  # type: ignore[no-untyped-call]
        yield loss


def _width(texts: Ragged, width: int) -> int:
    if width > texts.dense.shape[1]:
        raise ConfigError(
            f"train.loss.matryoshka: {width} is wider than the encoder's {texts.dense.shape[1]}"
        )
    return width


def _query_slices(queries: Ragged, passages: int, max_pairs: int) -> Iterator[slice]:
    """Yield slices of queries with at most `max_pairs` (token, passage) pairs, or one query.

    So many positions the multi-vector score keeps, and at most so many elements a sparse matrix
    has: (P, U) with U distinct tokens.
    """
    limit = max_pairs // max(1, passages)
    first = size = 0
    for number, count in enumerate(queries.weight_counts.maximum(queries.vector_counts).tolist()):
        if number > first and size + max(1, count) > limit:
            yield slice(first, number)
            first, size = number, 0
        size += max(1, count)
    if first < len(queries):
        yield slice(first, len(queries))


def _weightless(texts: Ragged) -> int:
    """Return how many texts have no sparse weight above 0."""
    owners = torch.repeat_interleave(texts.weight_counts)
    return len(texts) - len(torch.unique(owners[texts.weights > 0]))


def _summed(
    world: World,
    losses: list[Loss],
    plan: Columns,
    batch: TextBatch,
    config: LossConfig,
    weightless: int,
) -> StepLoss:
    """Return the sums over slices and processes; a process without queries has no parts."""
    parts: Counter[str] = Counter()
    for loss in losses:
        parts.update(loss.parts)
    names = loss_parts(config)
    taught = Share.of(batch).taught if config.teacher != "none" else 0
    untaught = len(batch.queries) - taught if config.teacher != "none" else 0
    own = [
        len(batch.queries),
        len(plan.owned),
        sum(loss.masked for loss in losses),
        taught,
        untaught,
        weightless,
    ]
    total = sum(float(loss.total.detach()) for loss in losses)
    found = world.sum([total, *(parts[name] for name in names), *own])
    counts = zip(
        ("queries", "passages", "masked", "taught", "untaught", "weightless"),
        found[-len(own) :],
        strict=True,
    )
    return StepLoss(
        found[0],
        dict(zip(names, found[1 : 1 + len(names)], strict=True)),
        {name: int(count) for name, count in counts},
    )
