"""The `[train.loss]` table."""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The `[train.loss]` table: the objective (paper, section 3.2; defaults are its final form)."""

    temperature: float = 0.02
    """Scores are divided by this before every softmax."""
    ensemble_weights: tuple[float, float, float] = (1.0, 0.3, 1.0)
    """w: dense, sparse, multi-vector shares in the teacher's sum."""
    loss_weights: tuple[float, float, float] = (1.0, 0.1, 1.0)
    """λ: weights of the heads' own losses."""
    self_distillation: bool = True
    """Learn every head from the ensemble's distribution too."""

    def __post_init__(self) -> None:
        check_range("train.loss.temperature", self.temperature, 1e-4, 10.0)
        for name in ("ensemble_weights", "loss_weights"):
            for weight in getattr(self, name):
                check_range(f"train.loss.{name}", weight, 0.0, 1e3)
