"""The report of an ablation: Markdown and a self-contained HTML page, from ablation.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.ablation.tables import Table, seeds_table, tables_of
from pipelines.report import markdown
from pipelines.report.markup import document, escape, plain_table, section, totals

Found = Mapping[str, Any]

_NOTE = (
    "In brackets the 95 % interval: bootstrap over seeds and over each set's queries. In a mean "
    "every benchmark counts the same, and in a benchmark every language. A star marks a difference "
    "whose interval does not hold 0."
)
_STYLE = "td:first-child{white-space:nowrap}h3{margin:28px 0 8px}pre{overflow-x:auto}"


def to_markdown(found: Found) -> str:
    """Return the report as Markdown."""
    lines = [f"# Ablations, {markdown.plain(found['measure'])}", "", f"{_facts(found)} {_NOTE}"]
    for study in found["studies"]:
        lines += ["", f"## {markdown.plain(study['name'])}"]
        for title, columns, rows in _tables(study, found):
            lines += ["", f"### {markdown.plain(title)}", "", markdown.table(columns, rows)]
    lines += ["", "## What the arms change", "", markdown.table(["arm", "set"], _arms(found)), ""]
    return "\n".join(lines)


def to_html(found: Found) -> str:
    """Return the report as a page: no script, no request."""
    top = totals(
        f"Ablations, {found['measure']}",
        _NOTE,
        {
            "arms": str(len(found["arms"])),
            "seeds": str(len(found["seeds"])),
            "sets": str(len(found["sets"])),
            "queries": f"{sum(found['sets'].values()):,}",
        },
    )
    studies = (
        section(study["name"], "", *map(_table, _tables(study, found)))
        for study in found["studies"]
    )
    arms = section("What the arms change", "", _table(("", ["arm", "set"], _arms(found))))
    return document(f"Ablations, {found['measure']}", "".join((top, *studies, arms)), _STYLE)


def _facts(found: Found) -> str:
    queries = sum(found["sets"].values())
    seeds = ", ".join(map(str, found["seeds"]))
    arms, sets = len(found["arms"]), len(found["sets"])
    return f"{arms} arms, seeds {seeds}; {queries:,} queries of {sets} sets."


def _tables(study: Found, found: Found) -> list[Table]:
    return [
        table
        for table in (*tables_of(study, found["sets"]), seeds_table(study, found["seeds"]))
        if table[2]
    ]


def _arms(found: Found) -> list[list[str]]:
    return [[name, _told(changed)] for name, changed in found["arms"].items()]


def _told(changed: Found) -> str:
    from pipelines.ablation.arms import dotted

    return ", ".join(f"{key} = {value}" for key, value in dotted(changed)) or "nothing"


def _table(table: Table) -> str:
    title, columns, rows = table
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return heading + plain_table(columns, rows)
