"""Results as text tables: a row per model and mode, a column per measure or per language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.evaluation.config import AFTER, BEFORE, LEXICAL
from pipelines.terminal import table

MEASURES = ("nDCG@10", "Recall@20", "Recall@100", "MRR@10")
SHOWN = ("nDCG@10", "Recall@100")
"""Where there is room for two."""
SIGNIFICANT = 0.05
_MARK = "*"

Row = Mapping[str, Any]


def results_table(results: Row) -> str:
    """Return the tables of a metrics.json.

    A benchmark of one set has its measures as columns, one of several its languages, with their
    mean; `*` marks a mean that differs from the reference's (p < 0.05 after Holm's correction).
    """
    grouped = {row["benchmark"]: row for row in results["averages"]}
    members: dict[str, list[Row]] = {}
    for one in results["sets"]:
        members.setdefault(one["benchmark"], []).append(one)
    blocks: list[str] = []
    for name, sets in members.items():
        if name in grouped:
            blocks += [_by_language(grouped[name], sets, m) for m in measures_of(sets[0], SHOWN)]
        else:
            blocks.append(_of_set(sets[0]))
    return "\n\n".join([*blocks, *_note(results)])


def _note(results: Row) -> list[str]:
    """Return what the mark means, where there is one."""
    rows = [row for one in results["sets"] for row in one["comparisons"]]
    if not any(row["p_corrected"] < SIGNIFICANT for row in rows):
        return []
    return [f"{_MARK} differs from {rows[0]['reference']}: p < {SIGNIFICANT} (Holm)"]


def measures_of(one: Row, wanted: Sequence[str]) -> list[str]:
    """Return those of the measures that a set has."""
    return [m for m in wanted if m in one["scores"][0]["measures"]]


def _of_set(one: Row) -> str:
    title = f"{one['name']} ({one['queries']:,} queries)"
    if {row["model"] for row in one["scores"]} == {BEFORE, AFTER}:
        return _side_by_side(one, title)
    measures = measures_of(one, MEASURES)
    marks = marks_of(one)
    rows = [[label_of(row), *(cell(row, m, marks) for m in measures)] for row in one["scores"]]
    return table([title, *measures], rows)


def _side_by_side(one: Row, title: str) -> str:
    """Return a row per mode, before and after training beside each other."""
    measures, marks = measures_of(one, SHOWN), marks_of(one)
    found = {(row["model"], row["mode"]): row for row in one["scores"]}
    modes = list(dict.fromkeys(mode for _, mode in found))
    rows = [
        [mode, *(cell(found[when, mode], m, marks) for m in measures for when in (BEFORE, AFTER))]
        for mode in modes
    ]
    return table([title, *(f"{m} {when}" for m in measures for when in (BEFORE, AFTER))], rows)


def label_of(row: Row) -> str:
    """Return a row's name: its model and mode."""
    return f"{row['model']} {mode_of(row)}".rstrip()


def mode_of(row: Row) -> str:
    """Return a row's mode; that of BM25, which has one, says nothing."""
    return "" if row["mode"] == LEXICAL else str(row["mode"])


def marks_of(one: Row) -> dict[tuple[str, str, str], str]:
    """Return a mark for each model, mode and measure that differs from the reference's."""
    return {
        (row["model"], row["mode"], row["measure"]): _MARK
        for row in one["comparisons"]
        if row["p_corrected"] < SIGNIFICANT
    }


def cell(row: Row, measure: str, marks: Mapping[tuple[str, str, str], str]) -> str:
    """Return a mean with four digits, and a mark where it is significant."""
    found = row["measures"].get(measure)
    if found is None:
        return "–"
    return f"{found['mean']:.4f}{marks.get((row['model'], row['mode'], measure), '')}"


def _by_language(average: Row, members: Sequence[Row], measure: str) -> str:
    """Return a table of one measure: a column per language, then their mean."""
    columns = [*members, average]
    header = [f"{average['benchmark']} {measure}", *map(column_of, members), "mean"]
    marks = [marks_of(column) for column in columns]
    rows = [
        [
            label_of(row),
            *(cell(c["scores"][i], measure, m) for c, m in zip(columns, marks, strict=True)),
        ]
        for i, row in enumerate(average["scores"])
    ]
    return table(header, rows)


def column_of(one: Row) -> str:
    """Return a set's heading among those of its benchmark: its languages."""
    query, document = one["language"], one["document_language"]
    if not query:
        return str(one["name"])
    return str(query) if query == document or not document else f"{query}→{document}"
