"""Which lines of a page are text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources.prose import amount, better, is_doubtful, prose

LONG = "The river rises in the northern hills and flows past three market towns to the sea."
CHINESE = "这条河发源于北方的山丘，流经三个集镇，然后在海边的港口旁边入海，两岸都是磨坊。"
CASES = {
    "menus": (["Home", "News", "Sport", LONG, LONG + "!", "Share", "Print"], [LONG, LONG + "!"]),
    "headings stay": ([LONG, "A heading", LONG + "!"], [LONG, "A heading", LONG + "!"]),
    "short sentences stay": ([LONG, "It is long.", LONG + "!"], [LONG, "It is long.", LONG + "!"]),
    "labels that repeat go": (
        [LONG, "Ad", LONG + "!", "Ad", LONG + "?"],
        [LONG, LONG + "!", LONG + "?"],
    ),
    "paragraphs that repeat stay": ([LONG, LONG], [LONG, LONG]),
    "a teaser behind a menu": ([LONG * 3, "More", "By A", "Top", LONG], [LONG * 3]),
    "text behind a list": ([LONG * 3, "One", "Two", LONG * 3], [LONG * 3, "One", "Two", LONG * 3]),
    "no spaces": (["首页", "新闻", CHINESE, "分享"], [CHINESE]),
    "nothing is prose": (["Home", "News"], ["Home", "News"]),
    "empty": ([], []),
}


@pytest.mark.parametrize(("lines", "expected"), CASES.values(), ids=CASES)
def test_the_stretch_of_prose(lines: list[str], expected: list[str]) -> None:
    """It begins and ends with prose, and what is inside stays unless it repeats."""
    assert prose("\n".join(lines)).split("\n") == (expected or [""])


@given(st.lists(st.text(max_size=200), max_size=12).map("\n".join))
@settings(deadline=None, max_examples=150)
def test_lines_are_kept_or_dropped_whole(text: str) -> None:
    """The result is lines of the input in their order, and has as much in paragraphs at most."""
    kept = prose(text)
    lines = iter(text.split("\n"))
    assert all(line in lines for line in kept.split("\n")) or kept == text
    assert amount(kept) <= amount(text)


def test_another_text_needs_twice_the_paragraphs() -> None:
    """Teasers, sentences of one line, do not count."""
    article, teasers = "\n".join([LONG * 3] * 5), "\n".join([LONG] * 50)
    assert better("short", article) == article
    assert better(LONG * 3, article) == article
    assert better("\n".join([LONG * 3] * 3), article) != article
    assert better("short", teasers) == "short"


@pytest.mark.parametrize(
    ("text", "expected"), [("a" * 1499, True), ("a" * 1500, False), ("河" * 600, False)]
)
def test_short_texts_are_doubtful(text: str, expected: bool) -> None:
    """A character of a script without spaces counts as more."""
    assert is_doubtful(text) is expected


def test_a_page_of_many_lines_is_quick() -> None:
    """Linear in lines."""
    start = time.process_time()
    prose(("a\n" + LONG + "\n") * 50_000)
    assert time.process_time() - start < 3
