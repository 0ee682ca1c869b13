"""Results as text tables: a row per model and mode, a column per measure or per language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.terminal import table

MEASURES = ("nDCG@10", "Recall@20", "Recall@100", "MRR@10")
_BY_LANGUAGE = ("nDCG@10", "Recall@100")
SIGNIFICANT = 0.05
_MARK = "*"

Row = Mapping[str, Any]


def results_table(results: Row) -> str:
    """Return the tables of a metrics.json.

    A benchmark of one set has its measures as columns, one of several its languages, with their
    mean; `*` marks a mean that differs from the reference's (p < 0.05 after Holm's correction).
    """
    grouped = {row["benchmark"]: row for row in results["averages"]}
    blocks: list[str] = []
    done: set[str] = set()
    for one in results["sets"]:
        name = one["benchmark"]
        if name not in grouped:
            blocks.append(_of_set(one))
        elif name not in done:
            done.add(name)
            members = [row for row in results["sets"] if row["benchmark"] == name]
            blocks += _of_benchmark(grouped[name], members)
    marked = any(_MARK in block for block in blocks)
    note = f"{_MARK} differs from {_reference(results)}: p < {SIGNIFICANT} (Holm)" if marked else ""
    return "\n\n".join([*blocks, *([note] if note else [])])


def _reference(results: Row) -> str:
    rows = [row for one in results["sets"] for row in one["comparisons"]]
    return str(rows[0]["reference"])


def _of_set(one: Row) -> str:
    measures = [m for m in MEASURES if m in _first(one["scores"])]
    header = [f"{one['name']} ({one['queries']:,} queries)", *measures]
    return table(header, _rows(one, measures))


def _first(scores: Row) -> Row:
    found: Row = next(iter(next(iter(scores.values())).values()))
    return found


def _rows(one: Row, measures: Sequence[str]) -> list[list[str]]:
    marks = marks_of(one)
    return [
        [f"{model} {mode}", *(cell(values, m, marks.get((model, mode))) for m in measures)]
        for model, modes in one["scores"].items()
        for mode, values in modes.items()
    ]


def marks_of(one: Row) -> dict[tuple[str, str], str]:
    """Return the measure in which a model and mode differ from the reference."""
    return {
        (row["model"], row["mode"]): row["measure"]
        for row in one["comparisons"]
        if row["p_corrected"] < SIGNIFICANT
    }


def cell(values: Row, measure: str, marked: str | None) -> str:
    """Return a mean with four digits, and a mark where it is significant."""
    if measure not in values:
        return "–"
    return f"{values[measure]['mean']:.4f}{_MARK if measure == marked else ''}"


def _of_benchmark(average: Row, members: Sequence[Row]) -> list[str]:
    measures = [m for m in _BY_LANGUAGE if m in _first(average["scores"])]
    return [_by_language(average, members, measure) for measure in measures]


def _by_language(average: Row, members: Sequence[Row], measure: str) -> str:
    header = [f"{average['benchmark']} {measure}", *map(column_of, members), "mean"]
    columns = [*members, average]
    marks = [marks_of(column) for column in columns]
    rows = []
    for model, modes in average["scores"].items():
        for mode in modes:
            cells = [
                cell(column["scores"][model][mode], measure, mark.get((model, mode)))
                for column, mark in zip(columns, marks, strict=True)
            ]
            rows.append([f"{model} {mode}", *cells])
    return table(header, rows)


def column_of(one: Row) -> str:
    """Return a set's heading among those of its benchmark: its languages."""
    query, document = one["language"], one["document_language"]
    if not query:
        return str(one["name"])
    return str(query) if query == document or not document else f"{query}→{document}"
