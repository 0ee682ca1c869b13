"""What stops a run before a bad step is taken: no number, or a loss far above the last ones."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from curation import storage
from curation.errors import TrainingError

WINDOW = 50
"""Steps whose median a loss is measured by."""
_FEWEST = 10
_CURES = "lower train.learning_rate or train.max_gradient_norm, or raise train.loss.temperature"


@dataclass(slots=True)
class Guard:
    """Looks at each loss; raises `TrainingError` with the batch written down."""

    spike_factor: float
    path: str
    """Where the rows of a bad batch are written; empty: another process writes them."""
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def check(self, loss: float, parts: dict[str, float], norm: float, rows: Sequence[str]) -> None:
        """Raise `TrainingError` for a loss or gradient that no step must be taken with."""
        if not math.isfinite(loss + norm):
            self._write(rows, loss, parts, norm)
            raise TrainingError(
                f"the loss is {loss} ({parts}), its gradient's norm {norm}; its rows are in "
                f"{self.path}; {_CURES}"
            )
        median = statistics.median(self.losses) if len(self.losses) >= _FEWEST else math.inf
        if self.spike_factor and loss > self.spike_factor * median:
            self._write(rows, loss, parts, norm)
            raise TrainingError(
                f"the loss is {loss:.4g}, {loss / median:.1f} times the median {median:.4g} of the "
                f"last {len(self.losses)} steps; its rows are in {self.path}; look at them, "
                f"{_CURES}; to train on them all the same go on with train.spike_factor = 0"
            )
        self.losses.append(loss)

    def _write(
        self, rows: Sequence[str], loss: float, parts: dict[str, float], norm: float
    ) -> None:
        if self.path:
            found = {"rows": list(rows), "loss": loss, "parts": parts, "gradient_norm": norm}
            storage.write_json(self.path, found)
