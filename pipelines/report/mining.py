"""The report of mining as one self-contained HTML page, like that of curation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.charts import histogram
from pipelines.report.markup import (
    axis,
    document,
    escape,
    footer,
    grid,
    head,
    number,
    plain_table,
    section,
    share,
    table,
    text,
    totals,
    words,
)

Report = Mapping[str, Any]
Row = Mapping[str, Any]

_STYLE = (
    ".hist.soft path{opacity:.45}.sample{border-top:1px solid var(--line);padding:14px 0}"
    ".side{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:12px;"
    "margin-top:10px}.side article{background:var(--tint);border-radius:8px;padding:12px 14px;"
    "min-width:0;overflow-wrap:anywhere}.side .own{outline:2px solid var(--accent)}"
    ".side .suspect{outline:2px dashed #c0392b}.side .t{margin:0;font-size:14px;"
    "white-space:pre-line}.meta{color:var(--soft);font-size:12px;margin:0 0 6px}"
    ".q{font-weight:600;margin:0}"
)


def page(report: Report) -> str:
    """Return the page of a report as `pipelines.mining_facts` made it."""
    title = f"Negatives of {report['name']}"
    body = (
        _top(report, title),
        _scores(report["scores"]),
        _languages(report["languages"]),
        _removed(report["removed"]),
        _depths(report["depths"]),
        _samples(report["samples"]),
        footer("mine-negatives.json", report),
    )
    return document(title, "".join(body), _STYLE)


def _top(report: Report, title: str) -> str:
    found = report["totals"]
    shown = {
        "rows": number(found["rows"]),
        "passages searched": number(found["passages"]),
        "mined negatives": number(found["negatives"]),
        "labelled negatives": number(found["labelled_negatives"]),
        "rows with fewer": number(found["short"]),
        "filled at random": number(found["filled"]),
        "rows dropped": number(found["dropped"]),
        "positive not found": share(found["positive_not_found"], found["rows"] + found["dropped"]),
    }
    return totals(title, report["how"], shown)


def _scores(rows: Sequence[Row]) -> str:
    cells = [
        head(row["language"], f"{number(sum(row['positives']))} rows")
        + _chart(row, "positives", "")
        + _chart(row, "negatives", " soft")
        + axis(f"{row['low']:.2f}", "", f"{row['high']:.2f}")
        for row in rows
    ]
    note = (
        "The lowest positive of each row above, its mined negatives below, on one axis that all "
        "languages share. Where both lie on each other, the encoder does not tell them apart."
    )
    return section("Scores", note, grid(cells))


def _chart(row: Row, side: str, kind: str) -> str:
    counts = {bin_: count for bin_, count in enumerate(row[side]) if count}
    label = f"{side} of {row['language']}: {number(sum(row[side]))}"
    drawn = histogram(counts, 0, len(row[side]) - 1, label)
    return drawn.replace('class="hist"', f'class="hist{kind}"')


def _languages(rows: Sequence[Row]) -> str:
    header = ("language", "rows", "fewer", "deeper", "positive", "negative", "margin", "5 %")
    lines = [
        (
            row["language"],
            *(number(row[name]) for name in ("rows", "short", "deeper")),
            *(_middle(row[name]) for name in ("positives", "negatives", "margins")),
            f"{row['margins'][0]:.3f}" if row["margins"] else "–",
        )
        for row in rows
    ]
    note = (
        "Medians of the scores, and of the positive's score minus a negative's; at the right the "
        "margin that 5 % of the negatives fall below. fewer: rows with fewer negatives than "
        "wanted; deeper: rows that were searched again at twice the depth or more."
    )
    return section("Languages and margins", note, plain_table(header, lines))


def _middle(quantiles: Sequence[float]) -> str:
    return f"{quantiles[2]:.3f}" if quantiles else "–"


def _removed(removed: Mapping[str, int]) -> str:
    whole = sum(removed.values())
    rows: list[Sequence[str | int]] = [
        (words(name), count, share(count, whole)) for name, count in removed.items() if count
    ]
    note = "Candidates at the depth at which a row was decided, under the first rule that fits."
    found = table(("rule", "candidates", "share"), rows, 1) if rows else ""
    return section("Removed candidates", note, found)


def _depths(rows: Sequence[Row]) -> str:
    lines = [
        (number(row["depth"]), number(row["rows"]), number(row["short"]))
        for row in rows
        if row["depth"]
    ]
    note = "How deep rows were searched until enough candidates survived, or until max_depth."
    found = plain_table(("depth", "rows", "still with fewer"), lines) if lines else ""
    return section("Starvation", note, found)


def _samples(rows: Sequence[Row]) -> str:
    note = (
        "Drawn by a hash of the id, the languages taking turns. Positives are framed; a dashed "
        "frame marks a suspect: a negative that may be an answer, and why."
    )
    suspects = sum(1 for row in rows for item in row["negatives"] if item["suspect"])
    listed = "".join(map(_sample, rows))
    mined = sum(len(row["negatives"]) for row in rows)
    summary = (
        f'<p class="note">{number(suspects)} of {number(mined)} negatives here are suspects.</p>'
    )
    return section("To read side by side", note, summary + listed if rows else "")


def _sample(row: Row) -> str:
    spoken = (row["query_language"], row["language"])
    languages = spoken[0] if spoken[0] == spoken[1] else " → ".join(spoken)
    facts = " · ".join((languages, row["relation"], row["source"], row["id"]))
    own = "".join(_passage(item, row["language"], "positive", "own") for item in row["positives"])
    others = "".join(
        _passage(item, row["language"], item["source"], "suspect" if item["suspect"] else "")
        for item in row["negatives"]
    )
    return (
        f'<div class="sample"><p class="meta" dir="auto">{escape(facts)}</p>'
        f"{text(row['query'], 'q', row['query_language'])}"
        f'<div class="side">{own}{others}</div></div>'
    )


def _passage(item: Row, language: str, label: str, kind: str) -> str:
    score = "" if item["score"] is None else f"{item['score']:.3f}"
    facts = " · ".join(fact for fact in (label, score, item.get("suspect", "")) if fact)
    opening = f'<article class="{kind}">' if kind else "<article>"
    return (
        f'{opening}<p class="meta">{escape(facts)}</p>{text(item["text"], "t", language)}</article>'
    )
