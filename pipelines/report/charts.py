"""Charts as inline SVG: one path a chart, sized by CSS, its facts in words for screen readers."""

from __future__ import annotations

import html
from collections.abc import Mapping

from pipelines.report import bins

Counts = Mapping[int, int]

_HEIGHT = 40.0
_BAR, _STEP = 5, 6
_MERGED = 2
"""Logarithmic bins drawn as one bar: two bars for each doubling."""
_FEWEST = 8
"""Bars a chart has room for at least, so that one value is a bar and not a wall."""
_LEAST = 0.6  # a bar that stands for anything can be seen


def drawn(counts: Mapping[str, int], scale: str) -> dict[int, int]:
    """Return the counts as they are drawn: by bin number, logarithmic bins by twos."""
    width = 1 if scale == "unit" else _MERGED
    found: dict[int, int] = {}
    for name, count in counts.items():
        bin_ = int(name) // width
        found[bin_] = found.get(bin_, 0) + count
    return found


def extent(charts: list[dict[int, int]], scale: str) -> tuple[int, int]:
    """Return the first and last bar that charts side by side have in common."""
    if scale == "unit":
        return 0, bins.UNIT_BINS - 1
    filled = [bin_ for chart in charts for bin_ in chart if bin_ > bins.ZERO // _MERGED]
    first, last = (min(filled), max(filled)) if filled else (0, 0)
    return first, max(last, first + _FEWEST - 1)


def histogram(counts: Counts, first: int, last: int, label: str) -> str:
    """Return a histogram over the bars first..last; what lies below is drawn in the first."""
    heights = [0] * (last - first + 1)
    for bin_, count in counts.items():
        heights[min(max(bin_, first), last) - first] += count
    most = max(heights) or 1
    path = "".join(
        _bar(i, max(_LEAST, count / most * _HEIGHT)) for i, count in enumerate(heights) if count
    )
    width = len(heights) * _STEP - (_STEP - _BAR)
    return (
        f'<svg class="hist" viewBox="0 0 {width} {_HEIGHT:g}" preserveAspectRatio="none" '
        f'role="img" aria-label="{html.escape(label)}"><path d="{path}"/></svg>'
    )


def _bar(index: int, height: float) -> str:
    return f"M{index * _STEP} {_HEIGHT:g}v{-round(height, 1):g}h{_BAR}V{_HEIGHT:g}z"


def bar_edges(first: int, last: int, scale: str) -> tuple[float, float]:
    """Return the values at which the first bar begins and the last one ends."""
    width = 1 if scale == "unit" else _MERGED
    return bins.lower_edge(first * width, scale), bins.lower_edge((last + 1) * width, scale)


def meter(share: float) -> str:
    """Return a horizontal bar for a share of the largest value of a list."""
    width = max(0.5, min(100.0, share * 100)) if share > 0 else 0
    return f'<span class="meter" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>'
