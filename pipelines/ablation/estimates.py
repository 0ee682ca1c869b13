"""How long runs take, from those that have finished."""

from __future__ import annotations

from pipelines.ablation import folders
from pipelines.ablation.arms import Plan

Key = tuple[str, int]


def seconds_of_runs(plan: Plan) -> dict[Key, float | None]:
    """Return each run's seconds: its own, its arm's mean, or all arms'; None before any run."""
    known = {key: folders.seconds_of(job) for key, job in plan.runs.items()}
    whole = _mean([s for s in known.values() if s is not None])
    found = {}
    for key, own in known.items():
        arm = [s for (name, _), s in known.items() if name == key[0] and s is not None]
        found[key] = next((s for s in (own, _mean(arm), whole) if s is not None), None)
    return found


def _mean(seconds: list[float]) -> float | None:
    return sum(seconds) / len(seconds) if seconds else None
