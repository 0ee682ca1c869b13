"""What stops a run before a bad step is taken: no number, or a loss far above the last ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from curation import storage
from curation.errors import TrainingError
from train import launch

WINDOW = 50
"""Steps whose median a loss is measured by."""
_FEWEST = 10
_CURES = "lower train.learning_rate or train.max_gradient_norm, or raise train.loss.temperature"


@dataclass(slots=True)
class Guard:
    """Looks at each step's loss, which is the same in every process."""

    spike_factor: float
    """How many times the median of the last losses is a spike; 0: nothing is."""
    path: str
    """Where the rows of a bad batch are written."""
    losses: list[float] = field(default_factory=list)
    """The last ones, at most `WINDOW`."""

    def check(self, loss: float, parts: dict[str, float], norm: float, rows: Sequence[str]) -> None:
        """Raise `TrainingError` for a loss or gradient that no step must be taken with.

        `rows` are this process's; those of all are written down.
        """
        if not math.isfinite(loss + norm):
            self._stop(
                f"the loss is {loss} ({parts}), its gradient's norm {norm}; its rows are in "
                f"{self.path}; {_CURES}",
                {"loss": loss, "parts": parts, "gradient_norm": norm},
                rows,
            )
        median = statistics.median(self.losses) if len(self.losses) >= _FEWEST else math.inf
        if self.spike_factor and loss > self.spike_factor * median:
            self._stop(
                f"the loss is {loss:.4g}, {loss / median:.1f} times the median {median:.4g} of the "
                f"last {len(self.losses)} steps; its rows are in {self.path}: look at them; "
                f"{_CURES}; or go on over it with train.spike_factor = 0",
                {"loss": loss, "parts": parts, "gradient_norm": norm, "median": median},
                rows,
            )
        self.losses = [*self.losses, loss][-WINDOW:]

    def _stop(self, message: str, facts: dict[str, object], rows: Sequence[str]) -> None:
        everyones = [row for own in launch.all_say(list(rows)) for row in own]
        if launch.rank():
            raise SystemExit(2)  # every process has the same loss: one tells
        storage.write_json(self.path, facts | {"rows": everyones})
        raise TrainingError(message)
