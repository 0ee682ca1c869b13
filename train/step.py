"""One optimisation step's gradients: the same for any sub-batches and any number of processes.

1. The processes agree which passage is which column (hashes), so each encodes its own queries and
   the passages that no process before it has.
2. Embeddings of passages go to all; each process takes the loss of its own queries against all
   passages, in slices of queries, divided by the number of queries of all.
3. Gradients of passages come back to the process that encoded them; each takes its own through the
   encoder, and the gradients of the parameters are summed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from train.batch_loss import StepLoss, batch_losses
from train.batching import Indices, token_batches
from train.data import TextBatch
from train.distributed import World, is_sharded
from train.embeddings import sparse_gradients
from train.loss_config import LossConfig
from train.model import M3Model
from train.negatives import Share, columns
from train.passes import Passes, TokenRows
from train.ragged import Ragged, assemble


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
    longest = sys.maxsize if sharded else execution.budget  # sharded layers gather weights
    passes = Passes(model, rows, groups, config.heads, execution.memory, execution.dtype, longest)
    used = sys.maxsize if sharded else sum(map(len, rows))
    with world.summed_gradients(model.parameters()), sparse_gradients(model.encoder, used):
        texts = _in_order(passes.forward(), groups, model)
        loss, gradients = batch_losses(world, texts, plan, batch, config, execution.max_pairs)
        if sharded:  # its reduction is a mean
            gradients = [g * world.size for g in gradients]
        passes.backward(_of_groups(texts, gradients, groups))
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
