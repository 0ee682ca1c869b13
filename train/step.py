"""One optimisation step's gradients: the same for any sub-batches and any number of processes.

1. The processes agree which passage is which column (hashes), so each encodes its own queries and
   the passages that no process before it has.
2. Embeddings of passages go to all; each process takes the loss of its own queries against all
   passages, in slices of queries, divided by the number of queries of all.
3. Gradients of passages come back to the process that encoded them; each takes its own through the
   encoder, and the gradients of the parameters are summed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from curation.errors import ConfigError
from train.batching import Indices, token_batches
from train.data import TextBatch
from train.distributed import World, is_sharded
from train.loss_config import LossConfig
from train.losses import Divisors, Loss, loss_parts, m3_loss
from train.model import M3Model
from train.negatives import Columns, Share, columns, false_negatives, teaching
from train.passes import Passes, TokenRows
from train.ragged import Ragged, assemble, map_tensors
from train.scoring import all_scores, dense_scores


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How a step is computed: matters of memory and speed, not of its result."""

    budget: int
    """Tokens encoded at once, padding included."""
    memory: str = "cache"
    """cache, checkpoint or plain."""
    dtype: str = "fp32"
    """The encoder's precision, bf16 or fp32; scores and losses are always fp32."""
    max_pairs: int = 1 << 26
    """(Query token, passage) pairs whose scores are held at once, 4 bytes each and head."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The loss of a batch over all processes, the same in each, with what a log wants to know."""

    total: float
    parts: dict[str, float]
    counts: dict[str, int]
    """queries, passages, masked (pairs that are no negatives), taught, untaught (queries)."""


def tokenize_batch(model: M3Model, batch: TextBatch) -> tuple[list[list[int]], list[list[int]]]:
    """Return the token ids of the queries and of the passages."""
    queries = model.tokenize(batch.queries, is_query=True)
    return queries, model.tokenize(batch.passages, is_query=False)


def backward(
    model: M3Model,
    batch: TextBatch,
    tokens: tuple[TokenRows, TokenRows],
    config: LossConfig,
    execution: Execution,
) -> StepLoss:
    """Accumulate the gradients of the loss of all processes' batches; every process calls it.

    A process may have fewer queries than others, or none. The model is the bare one, without a
    wrapper that averages gradients, or sharded by `fully_shard`, which sums its own. `tokens` are
    those of `tokenize_batch`.
    """
    world = World.current(model.device)
    sharded = is_sharded(model.parameters())
    own = Share.of(batch)
    shares = _shares(world, own) if config.cross_device else [own]
    plan = columns(shares, world.rank if config.cross_device else 0)
    rows = [*tokens[0], *(tokens[1][i] for i in plan.owned)]
    groups = token_batches([len(row) for row in rows], execution.budget)
    if sharded:
        groups += _idle_groups(world, len(groups), rows, model)
    passes = Passes(model, rows, groups, config.heads, execution.memory, execution.dtype)
    with world.summed_gradients(model.parameters()):
        texts = _in_order(passes.forward(), groups, model)
        loss, gradients = _losses(world, texts, plan, batch, config, execution)
        scale = world.size if sharded else 1  # its reduction is a mean
        passes.backward(_of_groups(texts, [g * scale for g in gradients], groups))
    return loss


def _idle_groups(
    world: World, own: int, rows: list[Sequence[int]], model: M3Model
) -> list[Indices]:
    """Return sub-batches of an empty text, added to `rows`, up to the most that a process has.

    A sharded model gathers its weights in every pass, which all processes must make together.
    """
    most = max(count for (count,) in world.gather_rows([own]))
    (empty,) = model.tokenize([""], is_query=True)
    rows.extend([empty] * (most - own))
    return [np.array([len(rows) - i]) for i in range(most - own, 0, -1)]


def _shares(world: World, own: Share) -> list[Share]:
    return [Share.from_numbers(numbers) for numbers in world.gather_lists(own.to_numbers())]


def _in_order(parts: list[Ragged], groups: list[Indices], model: M3Model) -> Ragged:
    """Return the embeddings of the sub-batches as one, in the order of the texts."""
    if not parts:
        none = torch.zeros(0, 0, device=model.device)
        counts = torch.zeros(0, dtype=torch.long, device=model.device)
        return Ragged(none, none.view(-1), none, counts, counts, counts)
    order = torch.as_tensor([i for group in groups for i in group.tolist()])
    return assemble(parts, torch.argsort(order).tolist())


def _of_groups(
    texts: Ragged, gradients: Sequence[Tensor], groups: list[Indices]
) -> Iterator[Sequence[Tensor]]:
    """Yield the gradients of each sub-batch's dense vectors, weights and token vectors."""
    sizes = ([1] * len(texts), texts.weight_counts.tolist(), texts.vector_counts.tolist())
    pieces = [torch.split(g, size) for g, size in zip(gradients, sizes, strict=True)]
    for group in groups:
        yield [torch.cat([piece[i] for i in group.tolist()]) for piece in pieces]


def _losses(
    world: World,
    texts: Ragged,
    plan: Columns,
    batch: TextBatch,
    config: LossConfig,
    execution: Execution,
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
        losses = list(_slices(queries, passages, plan, batch, config, divisors, execution))
    gradients = [_gradient(t) for t in passages.tensors()]
    if boundaries is not None:
        gradients = world.collect(gradients, boundaries)
    idle = map(torch.zeros_like, texts.texts(end, len(texts)).tensors())
    parts = zip(queries.tensors(), gradients, idle, strict=True)
    return _summed(world, losses, plan, batch, config), [
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
    execution: Execution,
) -> Iterator[Loss]:
    """Yield the loss of slices of the queries, each taken back to the embeddings at once."""
    device = queries.dense.device
    targets = torch.tensor([plan.column_of[i] for i in batch.targets], device=device)
    excluded = false_negatives(plan.keys, plan.known, targets.tolist())
    taught = teaching(batch, plan.column_of) if config.teacher != "none" else None
    for rows in _query_slices(queries, len(passages), execution.max_pairs):
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


def _summed(
    world: World, losses: list[Loss], plan: Columns, batch: TextBatch, config: LossConfig
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
    ]
    total = sum(float(loss.total.detach()) for loss in losses)
    found = world.sum([total, *(parts[name] for name in names), *own])
    counts = zip(
        ("queries", "passages", "masked", "taught", "untaught"), found[-len(own) :], strict=True
    )
    return StepLoss(
        found[0],
        dict(zip(names, found[1 : 1 + len(names)], strict=True)),
        {name: int(count) for name, count in counts},
    )
