"""Several curves in one chart, as inline SVG: a colour each, named below it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from pipelines.report.markup import escape

_WIDTH, _HEIGHT = 320, 150
_INSET = 4

Points = Sequence[tuple[float, float]]
"""(x, y), both in 0..1; x ascending."""

COLOURS = 8
"""Curves that have a colour of their own; further ones begin again."""
STYLE = (
    ".lines{display:block;width:100%;height:auto;margin-top:8px}"
    ".lines path{fill:none;stroke-width:1.6;vector-effect:non-scaling-stroke}"
    ".lines .frame{stroke:var(--line);stroke-width:1}"
    ".key{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12px;color:var(--soft);margin:6px 0 0;"
    "padding:0;list-style:none}.key i{display:inline-block;width:14px;height:3px;"
    "border-radius:2px;margin-right:5px;vertical-align:middle}"
    ".s0{stroke:#2f6f8f}.s1{stroke:#c2541d}.s2{stroke:#4b8b3b}.s3{stroke:#8a5aa8}"
    ".s4{stroke:#b3871c}.s5{stroke:#3f9c96}.s6{stroke:#b5476b}.s7{stroke:#7a7a80}"
    ".b0{background:#2f6f8f}.b1{background:#c2541d}.b2{background:#4b8b3b}.b3{background:#8a5aa8}"
    ".b4{background:#b3871c}.b5{background:#3f9c96}.b6{background:#b5476b}.b7{background:#7a7a80}"
    "@media(prefers-color-scheme:dark){.s0{stroke:#6fb3d2}.s1{stroke:#f08a55}.s2{stroke:#8cc97c}"
    ".s3{stroke:#c39ae0}.s4{stroke:#e0bd5e}.s5{stroke:#74d0c9}.s6{stroke:#ea86a5}"
    ".s7{stroke:#a9a9b0}.b0{background:#6fb3d2}.b1{background:#f08a55}.b2{background:#8cc97c}"
    ".b3{background:#c39ae0}.b4{background:#e0bd5e}.b5{background:#74d0c9}.b6{background:#ea86a5}"
    ".b7{background:#a9a9b0}}"
)


def chart(series: Sequence[tuple[str, Points]], label: str) -> str:
    """Return the curves over one frame from (0, 0) to (1, 1)."""
    frame = f"M0 0.5H{_WIDTH}M0 {_HEIGHT / 2}H{_WIDTH}M0 {_HEIGHT - 0.5}H{_WIDTH}"
    paths = "".join(
        f'<path class="s{i % COLOURS}" d="{_path(points)}"/>'
        for i, (_, points) in enumerate(series)
    )
    told = f"{label}: {', '.join(name for name, _ in series)}"
    return (
        f'<svg class="lines" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{html.escape(told)}"><path class="frame" d="{frame}"/>{paths}</svg>'
    )


def _path(points: Points) -> str:
    room = _WIDTH - 2 * _INSET
    places = [
        f"{_INSET + x * room:.1f} {(1 - min(max(y, 0.0), 1.0)) * (_HEIGHT - 4) + 2:.1f}"
        for x, y in points
    ]
    if len(points) == 1:  # a single point is drawn as a short line
        places[0] += "h6"
    return f"M{'L'.join(places)}" if places else ""


def key(names: Sequence[str]) -> str:
    """Return which colour is whose."""
    listed = "".join(
        f'<li><i class="b{i % COLOURS}"></i>{escape(name)}</li>' for i, name in enumerate(names)
    )
    return f'<ul class="key">{listed}</ul>'
