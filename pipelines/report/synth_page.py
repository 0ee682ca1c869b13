"""The report of synthesis as one self-contained HTML page, like that of curation."""

from __future__ import annotations

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
    section,
    share,
    table,
    text,
    totals,
    words,
)

Report = dict[str, Any]
Row = dict[str, Any]

_REASONS_IN_CELL = 4
_TOKENS = ("input_tokens", "output_tokens")


def page(report: Report) -> str:
    """Return the page of a report as `assemble` made it."""
    title = f"Questions of {report['name']}"
    body = (
        _top(report, title),
        _rejects(report),
        _round_trip(report),
        _tokens(report),
        _languages(report),
        _positions(report),
        _reading(report["samples"]),
        _prompts(report.get("prompts", {})),
        footer("synth.json", report),
    )
    return document(title, "".join(body))


def _top(report: Report, title: str) -> str:
    found = report["totals"]
    shown = {
        "asked": number(found["asked"]),
        "kept": number(found["kept"]),
        "accepted": share(found["kept"], found["asked"]),
        "languages": number(sum(1 for row in report["languages"] if row["kept"])),
        "tokens": number(found["input_tokens"] + found["output_tokens"]),
    }
    if found["usd"] is not None:
        shown["cost"] = _cost(found["usd"])
    note = "What a model was asked, what it answered, and what was kept."
    return totals(title, note, shown)


def _rejects(report: Report) -> str:
    whole = report["totals"]["rejects"]
    rows = [
        [words(row["reason"]), row["rejects"], share(row["rejects"], whole)]
        for row in report["reasons"]
    ]
    note = "Every answer that was dropped, under the first reason that speaks against it."
    content = table(("reason", "rejected", "share"), rows, 1) if rows else ""
    return section("Rejected", note, content)


def _round_trip(report: Report) -> str:
    if not report["round_trip"]["before"]["questions"]:
        return ""
    rows = [_ranks("all languages", report["round_trip"])]
    rows += [
        _ranks(row["language"] or NO_LANGUAGE, row["round_trip"]) for row in report["languages"]
    ]
    header = ("language", "ranked", "rank 1", "rank 1–5", "kept", "rank 1", "rank 1–5")
    note = (
        "The share of questions whose own paragraph the encoder ranks first, or among the first "
        "five, of all paragraphs that compete: of all answers, and of the questions that were "
        "kept. The bar shows the answers that were ranked."
    )
    return section("Round trip", note, table(header, rows, 1))


def _ranks(name: str, found: dict[str, Row]) -> list[str | int]:
    cells: list[str | int] = [name]
    for when in ("before", "after"):
        cells.append(found[when]["questions"])
        cells += [_share(found[when][rank]) for rank in ("rank_1", "rank_5")]
    return cells


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _tokens(report: Report) -> str:
    rows = [
        [
            row["language"] or NO_LANGUAGE,
            *(row[c] for c in _TOKENS),
            _per_kept(row),
            _cost(row["usd"]),
        ]
        for row in report["languages"]
    ]
    judged = report["usage"]["judge"]
    if judged["input_tokens"]:
        counts = (judged[c] for c in _TOKENS)
        rows.append(["the judge", *counts, "–", _cost(judged.get("usd"))])
    asked = report["usage"]["questions"]
    note = (
        f"As the server counts them, of all answers that are in the log. This run asked for "
        f"{number(asked['requests'])} answers and kept {number(asked['cached'])} from before."
    )
    header = ("language", "input tokens", "output tokens", "tokens a kept question", "cost")
    return section("Tokens", note, table(header, rows, 1) if rows else "")


def _cost(usd: float | None) -> str:
    return "–" if usd is None else f"${usd:,.4f}" if usd < 1 else f"${usd:,.2f}"


def _per_kept(row: Row) -> str:
    if not row["kept"]:
        return "–"
    return f"{(row['input_tokens'] + row['output_tokens']) / row['kept']:,.0f}"


def _languages(report: Report) -> str:
    cells = [_language(row) for row in report["languages"]]
    note = "Largest first. The bar shows the share of answers that were kept."
    return section("Languages", note, grid(cells, "grid small"))


def _language(row: Row) -> str:
    listed = list(row["reasons"].items())
    lines = [line("asked", row["asked"], ""), line("kept", row["kept"], "")]
    lines += [line(words(reason), count, "r") for reason, count in listed[:_REASONS_IN_CELL]]
    rest = sum(count for _, count in listed[_REASONS_IN_CELL:])
    lines += [line("other reasons", rest, "r")] if rest else []
    return (
        head(row["language"] or NO_LANGUAGE, share(row["kept"], row["asked"]))
        + charts.meter(row["kept"] / row["asked"] if row["asked"] else 0.0)
        + f'<dl class="rows">{"".join(lines)}</dl>'
    )


def _positions(report: Report) -> str:
    cells = [_position(row) for row in report["languages"] if row["asked"]]
    note = "Where the paragraphs begin that were asked about, in tenths of their document."
    return section("Positions", note, grid(cells, "grid small"))


def _position(row: Row) -> str:
    bars = dict(enumerate(row["positions"]))
    whole = sum(row["positions"])
    first = f"{share(row['positions'][0], whole)} in the first tenth"
    label = f"positions of {whole} paragraphs: {first}"
    return (
        head(row["language"] or NO_LANGUAGE, first)
        + charts.histogram(bars, 0, len(bars) - 1, label)
        + axis("start", "", "end")
    )


def _reading(samples: dict[str, dict[str, list[Row]]]) -> str:
    parts: list[str] = []
    for code, groups in samples.items():
        articles = "".join(
            f"<article>{_sample(row, code)}</article>"
            for kind in ("kept", "rejected")
            for row in groups[kind]
        )
        if articles:
            opening = "<details>" if parts else "<details open>"
            parts.append(
                f"{opening}<summary>{escape(code or NO_LANGUAGE)}</summary>"
                f'<div class="read">{articles}</div></details>'
            )
    note = "Kept and rejected questions, each beside its paragraph, drawn by a hash of the id."
    return section("To read", note, *parts)


def _sample(row: Row, code: str) -> str:
    verdict = f"{words(row['reason'])} {row['value']}".strip() if row["reason"] else "kept"
    facts = [verdict]
    facts += [f"rank {row['rank']}"] if row["rank"] else []
    facts += [f"judge {row['judge_score']}"] if row["judge_score"] else []
    meta = escape(" · ".join([*facts, row["source"], row["id"]]))
    return (
        f'<p class="meta" dir="auto">{meta}</p>'
        + (text(row["question"], "q", code) if row["question"] else "")
        + text(row["paragraph"], "t", code)
    )


def _prompts(prompts: dict[str, str]) -> str:
    parts = [
        f"<details><summary>{escape(version)}</summary>"
        f'<div class="read"><article>{text(wording, "t")}</article></div></details>'
        for version, wording in prompts.items()
    ]
    return section("Prompts", "As they were sent, but for the paragraph.", *parts)
