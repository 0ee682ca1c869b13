"""Gradients of token embeddings without a vocabulary-sized tensor per sub-batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def sparse_gradients(encoder: nn.Module, tokens: int) -> Iterator[None]:
    """Let embedding tables take gradients of the rows that a step uses; dense again at the end.

    torch makes a gradient as large as the table in every backward pass and adds it to the last: of
    250,002 tokens by 384, four sub-batches take 0.19 s instead of 0.76 and 370 MB less. Tables with
    fewer than four rows per token of a step are left as they are, and a compiled encoder.
    """
    tables = [
        module
        for module in encoder.modules()
        if isinstance(module, nn.Embedding)
        and not module.sparse
        and module.weight.requires_grad
        and module.num_embeddings >= 4 * tokens
    ]
    if getattr(encoder, "_compiled_call_impl", None) is not None:
        tables = []
    for table in tables:
        table.sparse = True
    try:
        yield
    finally:
        for table in tables:
            table.sparse = False
            if table.weight.grad is not None and table.weight.grad.is_sparse:
                table.weight.grad = table.weight.grad.to_dense()
