"""Small pieces of HTML. Whatever comes out of data is escaped here and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curation.extract import language_code
from pipelines.report import charts
from pipelines.report.style import STYLE

NO_LANGUAGE = "not identified"
"""Stands where a text's language is not known."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def escape(text: object) -> str:
    """Return text that is safe inside an element and inside a quoted attribute."""
    return html.escape(str(text))


def number(count: int) -> str:
    """Return a count as 1,234."""
    return f"{count:,}"


def rounded(value: float) -> str:
    """Return what is known to a bin only, with two digits: 0.95, 4.8, 23, 370,000."""
    shown = float(f"{value:.2g}")
    return f"{shown:,.0f}" if shown >= 10 or shown == int(shown) else f"{shown:g}"


def share(part: float, whole: float) -> str:
    """Return a share in per cent with one decimal."""
    if not whole:
        return "–"
    return f"{part / whole:.1%}" if part / whole >= 0.0005 else "< 0.1%"


def words(name: str) -> str:
    """Return a snake_case name as words."""
    return name.replace("_", " ")


def text(content: str, kind: str, language: str = "") -> str:
    """Return a paragraph of text from data: its own direction, its language where one is known."""
    code = language_code(language)
    spoken = f' lang="{escape(code.replace("_", "-"))}"' if code and code != "und" else ""
    return f'<p class="{kind}" dir="auto"{spoken}>{escape(content)}</p>'


def section(title: str, note: str, *content: str) -> str:
    """Return a section with its heading; nothing where there is no content."""
    body = "".join(content)
    if not body:
        return ""
    return f'<section><h2>{escape(title)}</h2><p class="note">{escape(note)}</p>{body}</section>\n'


def grid(cells: Iterable[str], kind: str = "grid") -> str:
    """Return cells in as many columns as fit."""
    listed = "".join(f'<div class="cell">{cell}</div>' for cell in cells)
    return f'<div class="{kind}">{listed}</div>' if listed else ""


def head(title: str, remark: str) -> str:
    """Return a cell's heading with a remark at its right."""
    return (
        f'<div class="head"><h3 dir="auto">{escape(title)}</h3><span>{escape(remark)}</span></div>'
    )


def axis(low: str, middle: str, high: str) -> str:
    """Return the line under a chart."""
    return f'<p class="axis"><span>{low}</span><span>{middle}</span><span>{high}</span></p>'


def table(header: Sequence[str], rows: Iterable[Sequence[str | int]], measured: int) -> str:
    """Return a table: the first column text, the others counts; a bar shows column `measured`."""
    listed = [list(row) for row in rows]
    most = max((int(row[measured]) for row in listed), default=0) or 1
    heads = "".join(
        f"<th{'' if i == 0 else ' class=n'}>{escape(h)}</th>" for i, h in enumerate(header)
    )
    lines = []
    for row in listed:
        cells = "".join(
            f'<td class="n">{number(c)}</td>'
            if isinstance(c, int)
            else f'<td{"" if i == 0 else " class=n"} dir="auto">{escape(c)}</td>'
            for i, c in enumerate(row)
        )
        lines.append(
            f'<tr>{cells}<td class="m">{charts.meter(int(row[measured]) / most)}</td></tr>'
        )
    return (
        f'<div class="scroll"><table><thead><tr>{heads}<th></th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table: the first column text, the others numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        first, *rest = (escape(cell) for cell in cells)
        numbers = "".join(f'<{tag} class="n">{cell}</{tag}>' for cell in rest)
        return f'<tr><{tag} dir="auto">{first}</{tag}>{numbers}</tr>'

    body = "".join(line(row, "td") for row in rows)
    return (
        f'<div class="scroll"><table><thead>{line(header, "th")}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def document(title: str, body: str, style: str = "") -> str:
    """Return a whole page: no script, no request to anywhere; `style` adds to the reports' own."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def totals(title: str, note: str, shown: Mapping[str, str]) -> str:
    """Return the page's heading and its few largest numbers."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in shown.items()
    )
    return (
        f'<header><h1 dir="auto">{escape(title)}</h1><p class="sub">{escape(note)}</p></header>'
        f'<dl class="totals">{cells}</dl>\n'
    )


def line(name: str, count: int, kind: str) -> str:
    """Return a line of a list of counts."""
    opening = f'<div class="{kind}">' if kind else "<div>"
    return f'{opening}<dt title="{escape(name)}">{escape(name)}</dt><dd>{number(count)}</dd></div>'


def footer(file: str, report: Mapping[str, Any]) -> str:
    """Return the page's end: what identifies it, and where programs find the same."""
    versions = ", ".join(f"{name} {v}" for name, v in sorted(report["versions"].items()))
    return (
        f"<footer>The same facts for programs: {escape(file)}. Fingerprint "
        f"{escape(report['fingerprint'])}; {escape(versions)}.</footer>"
    )
