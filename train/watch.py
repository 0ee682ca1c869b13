"""Retrieval during training: the best weights so far, and when there is nothing more to gain."""

from __future__ import annotations

from dataclasses import dataclass

Scores = dict[str, dict[str, float]]
"""Of each way to retrieve (dense, sparse …) the mean of each measure."""

MODES = ("dense", "sparse", "multi-vector", "dense+sparse", "all")
"""How documents are retrieved (paper, section 4.1), in the order of tables."""
MEASURE = "nDCG@10"


@dataclass(slots=True)
class Watch:
    """Follows one number through a phase."""

    mode: str
    """The way to retrieve whose `MEASURE` decides."""
    patience: int
    """Evaluations without a gain after which the phase ends; 0: it never does."""
    best: float = -1.0
    best_step: int = 0
    since: int = 0
    """Evaluations since the best one."""

    def see(self, step: int, scores: Scores) -> bool:
        """Take the scores at a step; tell whether they are the best so far."""
        value = scores[self.mode][MEASURE]
        if value > self.best:
            self.best, self.best_step, self.since = value, step, 0
            return True
        self.since += 1
        return False

    @property
    def has_seen_enough(self) -> bool:
        """Whether the phase should end."""
        return bool(self.patience) and self.since >= self.patience
