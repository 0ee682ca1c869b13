"""The learning rate over the steps of a phase."""

from __future__ import annotations

import math

SCHEDULES = ("linear", "cosine", "constant")


def rate_factor(step: int, steps: int, warmup_share: float, schedule: str = "linear") -> float:
    """Return the factor of the peak rate at a step, counted from 0.

    It rises linearly for `warmup_share` of the steps, then falls to 0 in a line or half a cosine
    wave, or stays. It is never 0 at a step that is taken.
    """
    warmup = round(steps * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return max(0.0, 1 - done)
