"""Which parameters learn, at which rate, with which decay."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from curation.errors import ConfigError
from train.config import TrainConfig
from train.model import M3Model


def prepare(model: M3Model, config: TrainConfig) -> None:
    """Set dropout and freeze what the config names; raise `ConfigError` for unknown parts."""
    if config.dropout >= 0:
        for name, module in model.encoder.named_modules():
            if isinstance(module, nn.Dropout) or "dropout" in name.rpartition(".")[2]:
                module.p = config.dropout
    names = [name for name, _ in model.encoder.named_parameters()]
    for part in config.freeze:
        frozen = [n for n in names if f".{part}." in f".{n}"]
        if not frozen:
            parts = sorted({".".join(n.split(".")[:1]) for n in names})
            raise ConfigError(
                f"train.freeze: {part!r} is no part of the encoder ({parts}, layer.N)"
            )
        for name in frozen:
            model.encoder.get_parameter(name).requires_grad_(False)


def trainable(model: M3Model) -> list[bool]:
    """Return which of the encoder's parameters are not frozen."""
    return [parameter.requires_grad for parameter in model.encoder.parameters()]


def set_trainable(model: M3Model, parts: Collection[str], unfrozen: list[bool]) -> None:
    """Let `parts` (encoder, heads) learn; an encoder that does not is without dropout, too."""
    for parameter, learns in zip(model.encoder.parameters(), unfrozen, strict=True):
        parameter.requires_grad_(learns and "encoder" in parts)
    model.train()
    if "encoder" not in parts:
        model.encoder.eval()


def parameter_groups(
    model: M3Model, config: TrainConfig, parts: Collection[str], helper: nn.Module | None = None
) -> list[dict[str, Any]]:
    """Return AdamW's groups: matrices and vectors (no decay) of encoder and helper, heads."""
    modules = [model.encoder] * ("encoder" in parts) + [helper] * (helper is not None)
    encoder = [p for module in modules for p in module.parameters() if p.requires_grad]
    heads = [*model.sparse_linear.parameters(), *model.colbert_linear.parameters()]
    heads *= "heads" in parts
    groups = [
        ([p for p in encoder if p.dim() > 1], config.learning_rate, config.weight_decay),
        ([p for p in encoder if p.dim() <= 1], config.learning_rate, 0.0),
        (heads, config.head_learning_rate, 0.0),
    ]
    return [{"params": p, "lr": rate, "weight_decay": d} for p, rate, d in groups if p]
