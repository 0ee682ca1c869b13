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
UNIT_BARS = 20
_NEARLY_ALL = 0.995
_FEWEST = 8
"""Bars a chart has room for at least, so that one value is a bar and not a wall."""
_LEAST = 0.6  # a bar that stands for anything can be seen


def drawn(counts: Mapping[str, int]) -> dict[int, int]:
    """Return logarithmic bins as they are drawn: by twos."""
    found: dict[int, int] = {}
    for name, count in counts.items():
        bin_ = int(name) // _MERGED
        found[bin_] = found.get(bin_, 0) + count
    return found


def extent(charts: list[dict[int, int]]) -> tuple[int, int]:
    """Return the first and last bar that charts side by side have in common."""
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


def bar_edges(first: int, last: int) -> tuple[float, float]:
    """Return the values at which the first bar begins and the last one ends."""
    return bins.lower_edge(first * _MERGED, "log"), bins.lower_edge((last + 1) * _MERGED, "log")


def unit_bars(counts: Mapping[str, int]) -> tuple[dict[int, int], float, float]:
    """Return twenty bars of shares, and the values at which the first begins and the last ends.

    The axis is the shortest of 0 to 0.1, 0.2, 0.5 (or from there to 1) that holds nearly all rows;
    the bar at its end holds the rest.
    """
    filled = {max(0, int(name)): 0 for name in counts}
    for name, count in counts.items():
        filled[max(0, int(name))] += count
    low, high = _unit_axis(filled)
    width = (high - low) // UNIT_BARS
    bars: dict[int, int] = {}
    for bin_, count in filled.items():
        bar = min(max((bin_ - low) // width, 0), UNIT_BARS - 1)
        bars[bar] = bars.get(bar, 0) + count
    return bars, low / bins.UNIT_BINS, high / bins.UNIT_BINS


def _unit_axis(filled: Counts) -> tuple[int, int]:
    """Return the first bin of the axis and the one after its last."""
    wanted = _NEARLY_ALL * sum(filled.values())
    for span in (bins.UNIT_BINS // 10, bins.UNIT_BINS // 5, bins.UNIT_BINS // 2):
        for low in (0, bins.UNIT_BINS - span):
            if sum(n for bin_, n in filled.items() if low <= bin_ < low + span) >= wanted:
                return low, low + span
    return 0, bins.UNIT_BINS


def meter(share: float) -> str:
    """Return a horizontal bar for a share of the largest value of a list."""
    width = max(0.5, min(100.0, share * 100)) if share > 0 else 0
    return f'<span class="meter" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>'
