"""The report of a training: `reports/train.html`, from the lines of `reports/train.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curation import storage
from pipelines.report.curves import curve
from pipelines.report.markup import (
    axis,
    document,
    grid,
    head,
    number,
    plain_table,
    section,
    totals,
    words,
)
from pipelines.terminal import duration

Line = Mapping[str, Any]

_STYLE = (
    ".curve{display:block;width:100%;height:64px;margin-top:10px;border-bottom:1px solid "
    "var(--line)}.curve path{fill:none;stroke:var(--accent);stroke-width:1.5;"
    "vector-effect:non-scaling-stroke}"
)
_MEASURES = ("nDCG@10", "Recall@100")


def write(path: str, name: str, lines: Sequence[Line]) -> None:
    """Write the page of a log."""
    storage.write_bytes(path, page(name, lines).encode())


def page(name: str, lines: Sequence[Line]) -> str:
    """Return the page of a log."""
    steps = [line for line in lines if "loss" in line]
    judged = [line for line in lines if "scores" in line]
    title = f"Training of {name}"
    phases = list(dict.fromkeys(line["phase"] for line in steps))
    by_phase = {phase: [s for s in steps if s["phase"] == phase] for phase in phases}
    body = "".join(
        (
            _top(title, steps, phases),
            *(_losses(phase, found) for phase, found in by_phase.items()),
            _course(steps),
            *(_held_out(phase, [j for j in judged if j["phase"] == phase]) for phase in phases),
            _negatives([line for line in lines if "version" in line]),
            _table(by_phase),
        )
    )
    return document(title, body, _STYLE)


def _top(title: str, steps: Sequence[Line], phases: Sequence[str]) -> str:
    seconds = sum(step["seconds"] for step in steps)
    tokens = sum(step["tokens"] for step in steps)
    facts = {
        "stages": number(len(phases)),
        "steps": number(len(steps)),
        "rows": number(sum(step["rows"] for step in steps)),
        "tokens": number(tokens),
        "tokens per second": number(round(tokens / seconds)) if seconds else "–",
        "time in steps": duration(seconds),
    }
    return totals(title, "Losses, rates and retrieval step by step.", facts)


def _losses(phase: str, steps: Sequence[Line]) -> str:
    cells = [_cell("total", [s["loss"] for s in steps])]
    names = dict.fromkeys(name for step in steps for name in step["parts"])
    cells += [_cell(words(n), [s["parts"][n] for s in steps if n in s["parts"]]) for n in names]
    note = "Mean of the batch. The curve is drawn between its lowest and highest value."
    return section(f"Losses of {phase}", note, grid(cells))


def _course(steps: Sequence[Line]) -> str:
    if not steps:
        return ""
    speeds = [step["tokens"] / step["seconds"] for step in steps if step["seconds"]]
    cells = [
        _cell("learning rate", [step["learning_rate"] for step in steps], low=0.0),
        _cell("gradient norm", [step["gradient_norm"] for step in steps], low=0.0),
        _cell("tokens per second", speeds, low=0.0),
    ]
    return section("Course", "All stages, from their first step to their last.", grid(cells))


def _held_out(phase: str, judged: Sequence[Line]) -> str:
    if not judged:
        return ""
    cells = [
        _cell(f"{mode} {measure}", [j["scores"][mode][measure] for j in judged])
        for measure in _MEASURES
        for mode in judged[0]["scores"]
    ]
    best = [str(line["step"]) for line in judged if line["is_best"]]
    note = f"Retrieval for held-out queries at {len(judged)} points; best at step {best[-1]}."
    return section(f"Held-out queries in {phase}", note, grid(cells))


_DRIFT = {
    "overlap": "share of the earlier negatives that stay",
    "margin": "positive's score minus negative's",
    "suspects": "share of false-negative suspects",
    "suspects_at_margin": "share above the margin",
    "stale": "earlier negatives above the positive",
}


def _negatives(refreshed: Sequence[Line]) -> str:
    """Return how the negatives moved from one refresh to the next."""
    if not refreshed:
        return ""
    cells = [
        _cell(title, [line["facts"][name] for line in refreshed]) for name, title in _DRIFT.items()
    ]
    held_out = [line["held_out"] for line in refreshed if line["held_out"]]
    for mode in held_out[0] if held_out else ():
        cells.append(_cell(f"held-out {mode} nDCG@10", [s[mode]["nDCG@10"] for s in held_out]))
    header = ("stage, step", "version", "mined at", "rows", "starved", "passages", "time")
    rows = [
        (
            f"{line['phase']}, {number(line['step'])}",
            *(number(n) for n in (line["version"], line["mined_at"])),
            *(number(line["facts"][name]) for name in ("rows", "starved", "passages")),
            duration(line["seconds"]),
        )
        for line in refreshed
    ]
    note = (
        "A suspect is one of the best candidates that scores above the positive: a false "
        "negative, or a question the model does not answer yet. None of them is taken."
    )
    return section("Negatives mined anew", note, grid(cells) + plain_table(header, rows))


def _cell(title: str, values: Sequence[float], low: float | None = None) -> str:
    if not values:
        return ""
    last, lowest, highest = (f"{v:.3g}" for v in (values[-1], min(values), max(values)))
    label = f"{title}: from {values[0]:.3g} to {last}"
    return (
        head(title, last)
        + curve(values, label, low)
        + axis(f"lowest {lowest}", "", f"highest {highest}")
    )


def _table(by_phase: Mapping[str, Sequence[Line]]) -> str:
    header = ("stage", "steps", "rows", "tokens", "texts cut at the limit", "time")
    rows = [
        (
            phase,
            *(number(n) for n in (len(steps), _sum(steps, "rows"), _sum(steps, "tokens"))),
            number(_sum(steps, "cut")),
            duration(sum(step["seconds"] for step in steps)),
        )
        for phase, steps in by_phase.items()
    ]
    return section("Stages", "What each stage read.", plain_table(header, rows))


def _sum(steps: Iterable[Line], name: str) -> int:
    return int(sum(step[name] for step in steps))
