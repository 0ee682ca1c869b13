"""The page of mining, and the facts on it."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from mining.config import MiningConfig
from pipelines.mining_facts import facts_of, shared_text, suspicion
from pipelines.report.mining import page
from tests.mining.pools import row
from tests.pipelines.test_mine import REST, mined

HOSTILE = '<script>alert("x")</script>'


def report() -> dict[str, object]:
    asked = row(1, HOSTILE, ["a"], negatives=["d"], language='en"><b>', query_language="en")
    _, result = mined(asked, *REST, negatives=3)
    facts = facts_of(result, np.ones(4, np.bool_), MiningConfig(negatives=3))
    return facts | {"name": HOSTILE, "how": "how", "fingerprint": "f", "versions": {"v": "1"}}


def test_facts_add_up() -> None:
    """Rows, negatives and removals are those of the result; every row is in one language."""
    facts = report()
    totals = facts["totals"]
    assert totals["rows"] == sum(r["rows"] for r in facts["languages"]) == 4
    assert totals["negatives"] == 8  # the positive of one row scores 0: nothing stays below it
    assert totals["labelled_negatives"] == 1
    assert sum(sum(r["positives"]) for r in facts["scores"]) == 4
    assert sum(sum(r["negatives"]) for r in facts["scores"]) == 8
    assert len(facts["samples"]) == 4


def test_page_is_escaped_and_whole() -> None:
    """What comes from data is text; every element is closed."""
    found = page(report())
    assert "<script" not in found
    assert "&lt;script&gt;" in found
    assert '"><b>' not in found
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "path", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag != "path":
                assert open_tags.pop() == tag

    Checker().feed(found)
    assert open_tags == []


@pytest.mark.parametrize(
    ("score", "lowest", "shared", "expected"),
    [
        (0.96, 1.0, 0.0, "scores like the positive"),
        (0.94, 1.0, 0.0, ""),
        (-1.0, -1.0, 0.0, "scores like the positive"),
        (None, 1.0, 0.0, ""),
        (0.1, 1.0, 0.6, "shares 60% with a positive"),
    ],
)
def test_suspects(score: float, lowest: float, shared: float, expected: str) -> None:
    """By score or by shared text."""
    assert suspicion(score, lowest, shared) == expected


def test_a_positive_inside_a_negative_is_shared_text() -> None:
    """Whole, half or nothing of the shorter text."""
    text = "the old mill on the river ground corn for three towns"
    around = f"Before the war {text} and one village more than that"
    found = shared_text([text], [around, "nothing of it is here at all", ""])
    assert found == pytest.approx([1.0, 0.0, 0.0])
