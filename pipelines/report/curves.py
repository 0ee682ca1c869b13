"""Curves over steps as inline SVG, one a chart, on a linear axis."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from itertools import pairwise

_WIDTH, _HEIGHT = 200, 60
POINTS = 100
"""Points of a curve at most: longer ones are drawn as the means of equal spans."""


def thinned(values: Sequence[float], points: int = POINTS) -> list[float]:
    """Return at most `points` values: the means of spans of equal length to one value."""
    if len(values) <= points:
        return list(values)
    edges = [i * len(values) // points for i in range(points + 1)]
    spans = (values[a:b] for a, b in pairwise(edges))
    return [sum(span) / len(span) for span in spans]


def curve(values: Sequence[float], label: str, low: float | None = None) -> str:
    """Return a curve from the left edge to the right one; `low` is the foot of the axis."""
    shown = [v if math.isfinite(v) else 0.0 for v in thinned(values)]
    if not shown:
        return ""
    bottom = min(shown) if low is None else low
    height = max(shown) - bottom or 1.0
    step = _WIDTH / max(1, len(shown) - 1)
    places = [
        f"{i * step:.1f} {_HEIGHT - (v - bottom) / height * (_HEIGHT - 2) - 1:.1f}"
        for i, v in enumerate(shown)
    ]
    if len(places) == 1:
        places.append(places[0].replace("0.0", str(_WIDTH), 1))
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{html.escape(label)}"><path d="M{"L".join(places)}"/></svg>'
    )
