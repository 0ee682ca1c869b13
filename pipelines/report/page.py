"""The report as one self-contained HTML page: no script, no request, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.report import charts
from pipelines.report.markup import (
    NO_LANGUAGE,
    axis,
    document,
    escape,
    footer,
    grid,
    head,
    line,
    number,
    rounded,
    section,
    share,
    table,
    totals,
    words,
)
from pipelines.report.reading import reading

Report = dict[str, Any]

_REASONS_IN_CELL = 3


def page(report: Report) -> str:
    """Return the page of a report as `assemble` made it."""
    title = f"Curation of {report['name']}"
    body = "".join(
        (
            _top(report, title),
            _sources(report),
            _relations(report),
            _rejects(report),
            _scores(report),
            _languages(report),
            reading(report["samples"]),
            footer("curate.json", report),
        )
    )
    return document(title, body)


def _top(report: Report, title: str) -> str:
    shown = ("records", "documents", "pairs", "languages", "rejects")
    names = {"records": "records read", "rejects": "rejected"}
    found = {names.get(name, name): number(report["totals"][name]) for name in shown}
    return totals(title, "What was read, kept and rejected, and why.", found)


def _sources(report: Report) -> str:
    columns = ("records", "documents", "pairs", "rejects")
    rows = [[row["source"], *(row[c] for c in columns)] for row in report["sources"]]
    header = ("source", "records", "documents", "pairs", "rejected")
    note = "The bar shows pairs. A record may give several pairs, and several rejects."
    return section("Sources", note, table(header, rows, 3))


def _relations(report: Report) -> str:
    found = {
        (row["relation"], row["measure"]): row
        for row in report["histograms"]
        if row["kind"] == "pairs" and row["relation"]
    }
    measures = ("query_tokens", "positive_tokens")
    ranges = {
        m: charts.extent([_drawn(row) for (_, name), row in found.items() if name == m])
        for m in measures
    }
    cells = []
    for row in report["relations"]:
        hists = "".join(
            _chart(found[row["relation"], m], ranges[m], words(m))
            for m in measures
            if (row["relation"], m) in found
        )
        remark = f"{number(row['pairs'])} pairs"
        cells.append(head(row["relation"], remark) + hists + _shuffled(row))
    note = (
        "Length of both sides in tokens of the configured tokenizer, on a logarithmic axis that "
        "all relations share."
    )
    return section("Pairs by relation", note, grid(cells))


def _shuffled(row: dict[str, Any]) -> str:
    if not row["shuffled_pairs"]:
        return ""
    shuffled = f"{number(row['shuffled_pairs'])} with segments shuffled"
    return f'<p class="axis"><span>{shuffled}</span></p>'


def _rejects(report: Report) -> str:
    whole = report["totals"]["rejects"]
    rows = [
        [words(row["reason"]), row["rejects"], share(row["rejects"], whole)]
        for row in report["reasons"]
    ]
    note = "Every row that was dropped, under the reason that decided it."
    return section(
        "Rejected", note, table(("reason", "rejected", "share"), rows, 1) if rows else ""
    )


def _scores(report: Report) -> str:
    shown = [
        row
        for row in report["histograms"]
        if not row["relation"] and not (row["kind"] == "pairs" and row["measure"] in _BY_RELATION)
    ]
    parts = []
    for kind in ("documents", "pairs"):
        rows = [row for row in shown if row["kind"] == kind]
        if rows:
            parts.append(f'<h3 class="part">{kind.capitalize()}</h3>')
            parts.append(grid(map(_score, rows), "grid small"))
    note = (
        "Of what was kept. The axis of a share or score ends where 99.5 % of the rows do, the last "
        "bar holds the rest; lengths and counts are on a logarithmic axis."
    )
    return section("Lengths and scores", note, *parts)


def _score(row: dict[str, Any]) -> str:
    title = head(words(row["measure"]), "")
    if row["scale"] != "unit":
        return title + _chart(row, charts.extent([_drawn(row)]), "")
    bars, low, high = charts.unit_bars(row["bins"])
    chart = charts.histogram(bars, 0, charts.UNIT_BARS - 1, _summary(row))
    return title + chart + axis(rounded(low), f"median {rounded(row['median'])}", rounded(high))


_BY_RELATION = ("query_tokens", "positive_tokens", "positive_characters")


def _drawn(row: dict[str, Any]) -> dict[int, int]:
    return charts.drawn(row["bins"])


def _chart(row: dict[str, Any], between: tuple[int, int], name: str) -> str:
    """Return a histogram with its axis: both ends, and the median in the middle."""
    low, high = charts.bar_edges(*between)
    middle = f"{name} · median {rounded(row['median'])}".removeprefix(" · ")
    chart = charts.histogram(_drawn(row), *between, _summary(row))
    return chart + axis(rounded(low), middle, rounded(high))


def _summary(row: dict[str, Any]) -> str:
    """Return a chart in words."""
    return (
        f"{words(row['measure'])} of {number(row['rows'])} rows: 10 % below {rounded(row['p10'])}, "
        f"median {rounded(row['median'])}, 10 % above {rounded(row['p90'])}"
    )


def _languages(report: Report) -> str:
    rows = report["languages"]
    measures = ("characters", "positive_tokens")
    ranges = {m: charts.extent([charts.drawn(row[m]) for row in rows if row[m]]) for m in measures}
    cells = [_language(row, ranges) for row in rows if row["documents"] or row["pairs"]]
    rest = [row for row in rows if not (row["documents"] or row["pairs"])]
    note = (
        "Largest first. The chart shows the length of the documents in characters or, where a "
        "language has pairs only, of the positives in tokens; all charts share one logarithmic "
        "axis each."
    )
    return section("Languages", note, grid(cells, "grid small"), _only_rejected(rest))


def _language(row: dict[str, Any], ranges: dict[str, tuple[int, int]]) -> str:
    measure = "characters" if row["characters"] else "positive_tokens"
    unit = "characters" if row["characters"] else "tokens"
    low, high = charts.bar_edges(*ranges[measure])
    counted = charts.drawn(row[measure])
    label = f"length of {row['language'] or NO_LANGUAGE} texts in {unit}"
    chart = charts.histogram(counted, *ranges[measure], label)
    pairs = sum(row["pairs"].values())
    remark = f"{number(pairs)} pairs" if pairs else f"{number(row['documents'])} documents"
    return (
        head(row["language"] or NO_LANGUAGE, remark)
        + chart
        + axis(rounded(low), unit, rounded(high))
        + _counts(row)
    )


def _counts(row: dict[str, Any]) -> str:
    kept = {"documents": row["documents"]} if row["documents"] else {}
    lines = [line(name, count, "") for name, count in (kept | _largest(row["pairs"])).items()]
    whole = sum(row["rejects"].values())
    if whole:
        lines.append(line("rejected", whole, "r gap"))
        reasons = list(_largest(row["rejects"]).items())
        lines += [line(words(r), count, "r") for r, count in reasons[:_REASONS_IN_CELL]]
        rest = sum(count for _, count in reasons[_REASONS_IN_CELL:])
        lines += [line("other reasons", rest, "r")] if rest else []
    return f'<dl class="rows">{"".join(lines)}</dl>'


def _largest(sizes: dict[str, int]) -> dict[str, int]:
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def _only_rejected(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    listed = ", ".join(
        f"{row['language'] or NO_LANGUAGE} {number(sum(row['rejects'].values()))}"
        for row in sorted(rows, key=lambda row: -sum(row["rejects"].values()))
    )
    return f'<p class="note rest">Nothing kept, only rejected: {escape(listed)}.</p>'
