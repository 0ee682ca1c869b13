"""The page: complete, self-contained, and data in it are text and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from pipelines.report.assemble import assemble
from pipelines.report.facts import Facts, table_facts
from pipelines.report.markup import rounded, share
from pipelines.report.page import page
from tests.pipelines.report import builders

VOID = {"meta", "br", "img"}
COUNTS = Counter(
    {
        "in|wiki|odd": 90,
        "in|wiki": 70,
        "documents|wiki|en": 40,
        "documents|wiki|fr": 1200,
        "pairs|wiki|en|title-body": 30,
        "pairs|wiki|fr|section": 2,
        "shuffled|title-body": 3,
        "rejects|too_short|wiki|en": 5000,
        "rejects|no_title|wiki|xx": 2,
        "rejects|no_title|wiki|": 1,
    }
)


class Reader(HTMLParser):
    """Collects tags and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "path", "only SVG has elements that close themselves"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def make_report(counts: Counter[str] = COUNTS, title: str = "Query", name: str = "run") -> Any:
    facts = Facts()
    facts.add(table_facts("documents", builders.documents(40)))
    facts.add(table_facts("pairs", builders.pairs(40, title)))
    facts.add(table_facts("rejects", builders.rejects(10)))
    return assemble(name, "f00d", {"threefold": "1"}, counts, facts)


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    """Well formed, no script, no address of anything to fetch, no handler."""
    found = read(page(make_report()))
    assert not {"script", "link", "iframe", "img", "object"} & set(found.tags)
    names = {name for _, name, _ in found.attributes}
    assert not {"src", "href", "srcset", "action"} & names
    assert not [name for name in names if name.startswith("on")]
    style = "".join(found.texts)
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme:dark" in style


def test_hostile_text_is_shown_and_not_run() -> None:
    """Markup in titles, names and sources is escaped wherever it lands."""
    counts = Counter({f"pairs|{builders.HOSTILE}|{builders.HOSTILE}|title-body": 1}) + COUNTS
    plain, hostile = (
        read(page(make_report(c, t, n)))
        for c, t, n in (
            (Counter({"pairs|a|b|title-body": 1}) + COUNTS, "Query", "run"),
            (counts, builders.HOSTILE, builders.HOSTILE),
        )
    )
    assert hostile.tags == plain.tags
    assert any(builders.HOSTILE in text for text in hostile.texts)


def test_texts_say_their_language_and_direction() -> None:
    """Every paragraph out of data has dir=auto; a language only where it is a code."""
    text = page(make_report())
    assert '<p class="q" dir="auto" lang="en">Query' in text
    assert '<p class="t" dir="auto" lang="ar">' in text
    assert len(re.findall(r'<p class="[qt]" dir="auto"', text)) == len(
        re.findall(r'<p class="[qt]"', text)
    )


def test_the_report_holds_the_counts() -> None:
    """Totals, sources, relations, reasons and languages follow from the tallies."""
    found = make_report()
    assert found["totals"] == {
        "records": 160,
        "documents": 1240,
        "pairs": 32,
        "rejects": 5003,
        "languages": 2,
        "shuffled_pairs": 3,
    }
    assert [r["relation"] for r in found["relations"]] == ["title-body", "section"]
    assert found["relations"][0]["shuffled_pairs"] == 3
    assert found["reasons"][0] == {
        "reason": "too_short",
        "rejects": 5000,
        "sources": {"wiki": 5000},
    }
    assert [row["language"] for row in found["languages"]] == ["fr", "en", "", "xx"]
    assert found["languages"][1]["pairs"] == {"title-body": 30}
    assert found["languages"][1]["rejects"] == {"too_short": 5000}
    assert sum(found["languages"][0]["characters"].values()) == 13
    assert "rank" not in found["samples"]["pairs"][0]["rows"][0]


def test_the_page_shows_the_counts() -> None:
    """Key figures, each reason, each language, what has only rejects, and the shuffled pairs."""
    texts = read(page(make_report())).texts
    for text in ("1,240", "5,003", "too short", "99.9%", "0.1%", "title-body", "fr", "en"):
        assert text in texts
    assert "Nothing kept, only rejected: xx 2, not identified 1." in texts
    assert "3 with segments shuffled" in texts


def test_a_run_that_kept_nothing_has_a_page() -> None:
    """Without documents and pairs the reasons are there all the same."""
    counts = Counter({"in|wiki": 1, "rejects|no_title|wiki|": 1})
    text = page(assemble("x", "f", {}, counts, Facts()))
    assert "no title" in read(text).texts


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.953, "0.95"), (1, "1"), (4.76, "4.8"), (23.4, "23"), (370728.0, "370,000")],
)
def test_rounded_values_have_two_digits(value: float, shown: str) -> None:
    assert rounded(value) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(0, 0, "–"), (1, 3, "33.3%"), (1, 10**6, "< 0.1%")]
)
def test_shares(part: int, whole: int, shown: str) -> None:
    assert share(part, whole) == shown
