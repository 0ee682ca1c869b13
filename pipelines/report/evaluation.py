"""The report of an evaluation: `reports/evaluate.html`, from metrics.json."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curation import storage
from pipelines.evaluation import facts
from pipelines.evaluation.tables import (
    MEASURES,
    SHOWN,
    SIGNIFICANT,
    column_of,
    label_of,
    measures_of,
    mode_of,
)
from pipelines.report import lines
from pipelines.report.charts import meter
from pipelines.report.evaluation_examples import examples
from pipelines.report.markup import axis, document, escape, grid, head, number, section, totals

Row = Mapping[str, Any]

_STYLE = lines.STYLE + (
    "td.best{font-weight:650}td:first-child{min-width:150px}td .ci{display:block;"
    "color:var(--soft);font-size:11px;font-weight:400}"
    ".bars{margin:8px 0 0;display:grid;grid-template-columns:minmax(0,1fr) 46% "
    "auto;gap:3px 8px;align-items:center;font-size:12px}.bars span:first-child,.bars .n{color:"
    "var(--soft);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}"
    ".bars .v{font-variant-numeric:tabular-nums}.found{margin:6px 0 0;padding:0 0 0 18px;"
    "font-size:13px}.found li{margin:0 0 3px}.found .yes{font-weight:600}"
    ".read h4{margin:10px 0 0;font-size:12px;font-weight:600;color:var(--soft)}"
)
_FOOTER = (
    "<footer>The same facts for programs: metrics/metrics.json; rankings and judgements in TREC's "
    "format: metrics/runs, metrics/qrels.</footer>"
)
_FEW = 6  # columns that have room for four digits
_DEEPEST = facts.DEPTHS[-1]


def write(path: str, name: str, results: Row) -> None:
    """Write the page of a metrics.json."""
    storage.write_bytes(path, page(name, results).encode())


def page(name: str, results: Row) -> str:
    """Return the page of a metrics.json."""
    title = f"Evaluation of {name}"
    groups = _groups(results)
    body = "".join(
        (
            _top(title, results),
            *(_benchmark(sets, average, results["resamples"]) for sets, average in groups),
            _curves(groups),
            _length_curves(groups),
            _tests(groups),
            examples(results["sets"]),
            _FOOTER,
        )
    )
    return document(title, body, _STYLE)


def _groups(results: Row) -> list[tuple[list[Row], Row]]:
    """Return (its sets, the row of its means) of each benchmark; of a single set that itself."""
    averages = {row["benchmark"]: row for row in results["averages"]}
    members: dict[str, list[Row]] = {}
    for one in results["sets"]:
        members.setdefault(one["benchmark"], []).append(one)
    return [(sets, averages.get(name, sets[0])) for name, sets in members.items()]


def _top(title: str, results: Row) -> str:
    sets = results["sets"]
    languages = {one[side] for one in sets for side in ("language", "document_language")} - {""}
    shown = {
        "models": number(len(results["models"])),
        "sets": number(len(sets)),
        "languages": number(len(languages)),
        "queries": number(sum(one["queries"] for one in sets)),
        "documents searched": number(sum(one["documents"] for one in sets)),
        "precision": results["precision"] or "–",
    }
    return totals(title, "Retrieval by every model and mode, with what is certain of it.", shown)


def _benchmark(sets: Sequence[Row], average: Row, resamples: int) -> str:
    draws = (
        f"Small figures: the 95 % interval of {number(resamples)} bootstrap draws over queries. "
        if resamples
        else ""
    )
    if len(sets) == 1:
        measures = measures_of(average, MEASURES)
        note = f"{number(average['queries'])} queries, {number(average['documents'])} documents. "
        columns = [(measure, average, measure) for measure in measures]
        return section(average["name"], note + draws, _table(columns, average["scores"]))
    parts = []
    for measure in measures_of(average, SHOWN):
        columns = [("mean", average, measure), *((column_of(s), s, measure) for s in sets)]
        parts.append(f'<h3 class="part">{escape(measure)}</h3>')
        parts.append(_table(columns, average["scores"]))
    measure = measures_of(average, SHOWN)[0]
    cells = [
        head(column_of(one), f"{number(one['queries'])} queries") + _bars(one, measure)
        for one in sets
    ]
    bars = f'<h3 class="part">{escape(measure)} by language</h3>{grid(cells)}'
    return section(average["benchmark"], f"{len(sets)} sets. {draws}", *parts, bars)


def _table(columns: Sequence[tuple[str, Row, str]], rows: Sequence[Row]) -> str:
    """Return a row per model and mode; the best of each column stands out."""
    heads = "".join(f'<th class="n">{escape(name)}</th>' for name, _, _ in columns)
    best = [max((_mean(r, m) for r in column["scores"]), default=0.0) for _, column, m in columns]
    digits = 4 if len(columns) <= _FEW else 3
    body = ""
    for i, row in enumerate(rows):
        cells = "".join(
            _cell(column["scores"][i]["measures"].get(measure), top, digits)
            for (_, column, measure), top in zip(columns, best, strict=True)
        )
        body += f'<tr><td dir="auto">{escape(label_of(row))}</td>{cells}</tr>'
    return (
        f'<div class="scroll"><table><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _mean(row: Row, measure: str) -> float:
    return float(row["measures"].get(measure, {"mean": 0.0})["mean"])


def _cell(value: Row | None, best: float, digits: int) -> str:
    if value is None:
        return '<td class="n">–</td>'
    kind = "n best" if value["mean"] >= best else "n"
    between = (
        f'<span class="ci">{value["low"]:.3f}–{value["high"]:.3f}</span>'
        if value["high"] > value["low"]
        else ""
    )
    return f'<td class="{kind}">{value["mean"]:.{digits}f}{between}</td>'


def _bars(one: Row, measure: str) -> str:
    listed = "".join(
        f'<span class="n" title="{escape(label_of(row))}">{escape(_mode_first(row))}</span>'
        f"{meter(_mean(row, measure))}"
        f'<span class="v">{_mean(row, measure):.3f}</span>'
        for row in one["scores"]
    )
    return f'<div class="bars">{listed}</div>'


def _mode_first(row: Row) -> str:
    """Return a row's name with what tells it from its neighbours first: the end may be cut off."""
    return f"{mode_of(row)} {row['model']}".strip()


def _curves(groups: Iterable[tuple[list[Row], Row]]) -> str:
    cells = []
    for sets, _ in groups:
        series = [
            (label_of(row), [(_depth_place(d), y) for d, y in zip(facts.DEPTHS, mean, strict=True)])
            for row in sets[0]["scores"]
            if (mean := _mean_curve(sets, row))
        ]
        if series:
            name = sets[0]["benchmark"] if len(sets) > 1 else sets[0]["name"]
            cells.append(
                head(name, "recall")
                + lines.chart(series, f"recall by depth on {name}")
                + axis("first 1", "10", f"{_DEEPEST}")
                + lines.key([label for label, _ in series])
            )
    note = (
        "Share of the relevant documents among the best so many, on a logarithmic axis; from 0 at "
        "the foot to 1 at the top. Of several languages the mean."
    )
    return section("Recall by depth", note, grid(cells))


def _depth_place(depth: int) -> float:
    return math.log(depth) / math.log(_DEEPEST)


def _mean_curve(sets: Sequence[Row], row: Row) -> list[float]:
    found = [one["facts"][row["model"]][row["mode"]]["recall"] for one in sets]
    return [sum(values) / len(values) for values in zip(*found, strict=True)]


def _length_curves(groups: Iterable[tuple[list[Row], Row]]) -> str:
    cells = [cell for sets, _ in groups if (cell := _length_cell(sets))]
    note = (
        "nDCG@10 of the queries whose relevant document has so many characters, up to the power of "
        "two that stands there; languages together. Lengths of fewer than five queries are left "
        "out."
    )
    return section("Quality by document length", note, grid(cells))


_FEWEST = 5  # queries a length needs


def _length_cell(sets: Sequence[Row]) -> str:
    curves = {label_of(row): _by_length(sets, row) for row in sets[0]["scores"]}
    present = sorted({length for curve in curves.values() for length in curve})
    if not present:
        return ""
    first, last = present[0], present[-1]
    width = max(1, last - first)
    series = [
        (name, [((length - first) / width, y) for length, (_, y) in sorted(curve.items())])
        for name, curve in curves.items()
    ]
    counts = {length: n for length, (n, _) in next(iter(curves.values())).items()}
    name = sets[0]["benchmark"] if len(sets) > 1 else sets[0]["name"]
    remark = f"{number(int(sum(counts.values())))} queries"
    return (
        head(name, remark)
        + lines.chart(series, f"nDCG@10 by document length on {name}")
        + axis(f"{number(2**first)}", "characters", f"{number(2**last)}")
        + lines.key(list(curves))
    )


def _by_length(sets: Sequence[Row], row: Row) -> dict[int, tuple[float, float]]:
    """Return length → (queries, mean nDCG@10) over all sets."""
    sums: dict[int, list[float]] = {}
    for one in sets:
        for length, (count, mean) in one["facts"][row["model"]][row["mode"]]["lengths"].items():
            total = sums.setdefault(int(length), [0.0, 0.0])
            total[0] += count
            total[1] += count * mean
    return {n: (count, total / count) for n, (count, total) in sums.items() if count >= _FEWEST}


def _tests(groups: Iterable[tuple[list[Row], Row]]) -> str:
    found = [(average, row) for _, average in groups for row in average["comparisons"]]
    if not found:
        return ""
    heads = ("", "against", "measure", "difference", "95 % interval", "p", "p, Holm")
    top = "".join(f"<th{' class=n' if i > 2 else ''}>{h}</th>" for i, h in enumerate(heads))
    body = "".join(_test(average, row) for average, row in found)
    note = (
        "Paired over queries: the interval by bootstrap, p by random flips of the two runs. What "
        f"is below {SIGNIFICANT} after Holm's correction for the rows of its set stands out."
    )
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return section("Differences", note, f'<div class="scroll">{table}</div>')


def _test(average: Row, row: Row) -> str:
    kind = "n best" if row["p_corrected"] < SIGNIFICANT else "n"
    name = f"{average['benchmark']}: {label_of(row)}"
    against = f"{row['reference']} {row['reference_mode']}"
    numbers = (
        f"{row['difference']:+.4f}",
        f"{row['low']:+.4f} .. {row['high']:+.4f}",
        f"{row['p']:.4f}",
        f"{row['p_corrected']:.4f}",
    )
    cells = "".join(f'<td class="{kind}">{cell}</td>' for cell in numbers)
    return (
        f'<tr><td dir="auto">{escape(name)}</td><td dir="auto">{escape(against)}</td>'
        f"<td>{escape(row['measure'])}</td>{cells}</tr>"
    )
