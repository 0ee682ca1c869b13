"""The part of the report that is to be read: a few rows of every group, kept and rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.report.markup import escape, section, text, words

Row = dict[str, Any]


def reading(samples: dict[str, list[Row]]) -> str:
    """Return the samples: documents by source, pairs by relation, rejects by reason."""
    kinds: tuple[tuple[str, str, Callable[[Row], str]], ...] = (
        ("pairs", "Pairs", _pair),
        ("documents", "Documents", _document),
        ("rejects", "Rejects", _reject),
    )
    parts = [_part(title, samples[kind], shown) for kind, title, shown in kinds if samples[kind]]
    note = "Drawn by a hash of the id: the same rows whatever the number of workers."
    return section("To read", note, *parts)


def _part(title: str, groups: list[Row], shown: Callable[[Row], str]) -> str:
    listed = "".join(_group(group, shown, is_open=i == 0) for i, group in enumerate(groups))
    return f'<h3 class="part">{title}</h3>{listed}'


def _group(group: Row, shown: Callable[[Row], str], *, is_open: bool) -> str:
    name = group["group"]
    source = f" <span>{escape(group['source'])}</span>" if group["source"] != name else ""
    articles = "".join(f"<article>{shown(row)}</article>" for row in group["rows"])
    opening = "<details open>" if is_open else "<details>"
    return (
        f"{opening}<summary>{escape(words(name))}{source}</summary>"
        f'<div class="read">{articles}</div></details>'
    )


def _meta(*facts: str) -> str:
    return f'<p class="meta" dir="auto">{escape(" · ".join(fact for fact in facts if fact))}</p>'


def _pair(row: Row) -> str:
    spoken = (row["query_language"], row["language"])
    languages = spoken[0] if spoken[0] == spoken[1] else " → ".join(spoken)
    return (
        _meta(languages)
        + text(row["query"], "q", row["query_language"])
        + text(row["positive"], "t", row["language"])
    )


def _document(row: Row) -> str:
    score = f"language score {row['language_score']:.2f}"
    return (
        _meta(row["language"], score, row["id"])
        + text(row["title"], "q", row["language"])
        + text(row["text"], "t", row["language"])
    )


def _reject(row: Row) -> str:
    return _meta(row["language"], row["value"], row["id"]) + (
        text(row["excerpt"], "t", row["language"]) if row["excerpt"] else ""
    )
