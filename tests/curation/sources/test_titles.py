"""The title of a page, and where its text begins."""

from __future__ import annotations

import pytest

from curation.sources import html, titles

TITLES = {
    "og alone": (("A tale", [], ""), "A tale"),
    "heading alone": (("", ["A tale"], ""), "A tale"),
    "title alone": (("", [], "A tale"), "A tale"),
    "og over heading": (("A tale", ["Another"], "Third"), "A tale"),
    "heading over title": (("", ["A tale"], "Other"), "A tale"),
    "two headings say nothing": (("", ["Logo", "A tale"], "The title"), "The title"),
    "spaces are folded": ((" A \n tale ", [], ""), "A tale"),
    "site behind og": (("A tale of cities | Post", ["A tale of cities"], ""), "A tale of cities"),
    "site behind title": (("", ["A tale"], "A tale - The Very Long Site"), "A tale"),
    "site cut without heading": (("", [], "A long tale of cities – Post"), "A long tale of cities"),
    "several pieces": (("", [], "A tale of cities | News | Post"), "A tale of cities | News"),
    "long end stays": (("", [], "Tale | of two equal cities"), "Tale | of two equal cities"),
    "og as the title begins": (
        ("War and Peace - II", [], "War and Peace - II | P"),
        "War and Peace - II",
    ),
    "no space, no separator": (("", [], "Self-made tales of cities"), "Self-made tales of cities"),
    "nothing": (("", [], ""), ""),
}  # fmt: skip


@pytest.mark.parametrize(("candidates", "expected"), TITLES.values(), ids=TITLES)
def test_choice_of_the_title(candidates: tuple[str, list[str], str], expected: str) -> None:
    """The page's own title without the name of its site."""
    assert titles.choose_title(*candidates) == expected


SITES = {
    "behind": ("A tale of cities | The Post", "The Post", "A tale of cities"),
    "any case and divider": ("A tale » THE POST", "The Post", "A tale"),
    "full width": ("都市の物語：朝報", "朝報", "都市の物語"),
    "before": ("The Post | A tale", "The Post", "A tale"),
    "part of a word": ("A tale of outposts", "posts", "A tale of outposts"),
    "part of the title": ("Why we love The Post", "The Post", "Why we love The Post"),
    "before without divider": ("The Post moves house", "The Post", "The Post moves house"),
    "alone": ("The Post", "The Post", "The Post"),
    "unknown": ("A tale | The Post", "", "A tale | The Post"),
    "with its own slogan": ("A tale | Post", "Post | News daily", "A tale"),
}


@pytest.mark.parametrize(("title", "site", "expected"), SITES.values(), ids=SITES)
def test_the_name_of_the_site_is_no_title(title: str, site: str, expected: str) -> None:
    """It goes with what divides it, however long it is."""
    assert titles.without_name(title, site) == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("A tale | The Daily Post", "A tale"),
        ("A tale - dailypost", "A tale"),
        ("A tale - of cities", "A tale - of cities"),
        ("The Daily Post", "The Daily Post"),
    ],
)
def test_the_host_spells_the_site(title: str, expected: str) -> None:
    """A last piece whose letters stand in the host is the site's name."""
    page = (
        f"<title>{title}</title><meta property=og:url content='https://www.thedailypost.example/a'>"
    )
    assert html.extract(page).title == expected


BODIES = {
    "navigation before it": ("Home\nA tale\nOne.\nTwo.\nThree.", "One.\nTwo.\nThree."),
    "any case and spaces": (" a  TALE \nOne.", "One."),
    "behind the first third": ("One.\nTwo.\nThree.\nA tale\nFour.",) * 2,
    "not there": ("One.\nTwo.",) * 2,
    "alone": ("A tale",) * 2,
    "empty": ("", ""),
}


@pytest.mark.parametrize(("text", "expected"), BODIES.values(), ids=BODIES)
def test_text_begins_behind_its_title(text: str, expected: str) -> None:
    """A line that repeats the title near the top goes, with what stands before it."""
    assert titles.after_title(text, "A tale") == expected


def test_no_title_cuts_nothing() -> None:
    """An empty title is not found in an empty line."""
    assert titles.after_title("One.\n\nTwo.", "") == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Rivers The lighthouse opens again", "One.\nTwo."),
        ("Rivers The light\u00adhouse opens again", "One.\nTwo."),
        ("x" * 90 + " The lighthouse opens again", None),
        ("Outside the lighthouse opens again", "One.\nTwo."),
        ("Unthe lighthouse opens again", None),
    ],
    ids=["kicker", "soft hyphen", "sentence", "words", "part of a word"],
)
def test_a_kicker_before_the_title_goes_with_it(line: str, expected: str | None) -> None:
    """A few words may stand before the title on the line that repeats it."""
    text = f"{line}\nOne.\nTwo."
    assert titles.after_title(text, "The lighthouse opens again") == (expected or text)
