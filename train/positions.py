"""How long a text an encoder can take, and how to make it longer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from curation.errors import ConfigError


def limit(encoder: Any) -> int | None:
    """Return the tokens of the longest text an encoder has positions for; None: any."""
    table = _table(encoder)
    if table is not None:
        return int(table.num_embeddings) - _offset(table)
    rows = getattr(encoder.config, "max_position_embeddings", None)
    return None if rows is None else int(rows)


def extend(encoder: Any, tokens: int) -> None:
    """Give an encoder positions for texts of `tokens` tokens; its config follows.

    Learned positions (XLM-R, BERT) are repeated: new position p starts as old position p mod n. So
    neighbours differ as the encoder has learned that neighbours differ, everywhere but at the n-1
    seams; interpolation would shrink every such difference, and random ones would start from
    nothing. It makes the length possible, not good: train on long texts (RetroMAE, then
    fine-tuning). The table's first rows, which XLM-R reserves up to its pad id, stay: 512 tokens
    are 514 rows, 8,192 are 8,194. Computed positions (ModernBERT's RoPE) have no table; only the
    limit is raised. Raises `ConfigError` where there are more positions already, or none of the two
    kinds.
    """
    known = limit(encoder)
    if known == tokens:
        return
    if known is None or known > tokens:
        raise ConfigError(
            f"model.max_positions = {tokens}, but the encoder has {known or 'no limit'} already; "
            "positions are only added: set 0 to leave them, model.max_passage_tokens to cut texts"
        )
    table = _table(encoder)
    if table is not None:
        _extend_table(encoder.embeddings, table, tokens)
        encoder.config.max_position_embeddings = tokens + _offset(table)
    elif any("rope" in name for name in encoder.config.to_dict()):
        encoder.config.max_position_embeddings = tokens
    else:
        raise ConfigError(
            f"model.max_positions = {tokens}: {encoder.config.model_type} has neither learned "
            "positions nor RoPE; set 0"
        )


def learned_positions(encoder: Any) -> int:
    """Return the row of the first token's position in an encoder's table of positions."""
    table = _table(encoder)
    return 0 if table is None else _offset(table)


def _table(encoder: Any) -> nn.Embedding | None:
    table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    return table if isinstance(table, nn.Embedding) else None


def _offset(table: nn.Embedding) -> int:
    """Return the rows that no token uses: XLM-R numbers tokens from its pad id + 1."""
    return 0 if table.padding_idx is None else table.padding_idx + 1


def _extend_table(embeddings: Any, table: nn.Embedding, tokens: int) -> None:
    offset = _offset(table)
    old = table.weight.detach()
    positions = torch.arange(tokens, device=old.device) % (len(old) - offset)
    rows = torch.cat([old[:offset], old[offset:][positions]])
    longer = nn.Embedding(len(rows), rows.shape[1], table.padding_idx, device=old.device)
    with torch.no_grad():
        longer.weight.copy_(rows)
    embeddings.position_embeddings = longer
    _extend_buffers(embeddings, len(rows), old.device)


def _extend_buffers(embeddings: Any, rows: int, device: torch.device) -> None:
    """Lengthen what the embedding layer keeps one of for each position."""
    buffers: dict[str, Tensor] = {
        "position_ids": torch.arange(rows, device=device)[None],
        "token_type_ids": torch.zeros(1, rows, dtype=torch.long, device=device),
    }
    for name, value in buffers.items():
        if hasattr(embeddings, name):
            setattr(embeddings, name, value)
