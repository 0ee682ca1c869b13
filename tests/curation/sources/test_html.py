"""HTML pages: title, description and main text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources import html
from tests.builders import PARAGRAPH, news_html


def test_a_page_gives_its_parts() -> None:
    """Title without site name, description, language, and the text without navigation."""
    head = "<meta property='og:description' content=' What &amp;quot;it&amp;quot; says '>"
    page = html.extract(news_html("The lighthouse reopens", f"{PARAGRAPH * 3}", head).decode())
    assert page.title == "The lighthouse reopens"
    assert page.description == 'What "it" says'
    assert page.language == "en"
    assert page.text == " ".join((PARAGRAPH * 3).split())


def test_description_falls_back_to_its_meta_name() -> None:
    """Without og:description the plain one is taken."""
    page = html.extract("<meta name=description content='Plain'><p>text")
    assert page.description == "Plain"


@pytest.mark.parametrize("markup", ["", " ", "no markup", "<p", "<html></html>", "\x00<b>\x00"])
def test_a_page_without_parts_has_empty_ones(markup: str) -> None:
    """What is missing is an empty string."""
    page = html.extract(markup)
    assert (page.title, page.description, page.language) == ("", "", "")


def test_hidden_text_is_no_text() -> None:
    """Scripts, styles, comments, alternative texts and form fields are not read."""
    markup = (
        f"<article><p>{PARAGRAPH}</p><script>var secret1</script><style>secret2</style>"
        f"<!-- secret3 --><img alt=secret4><form><input value=secret5></form>"
        f"<noscript>secret6</noscript><p>{PARAGRAPH}</p></article>"
    )
    text = html.extract(markup).text
    assert text.count("The river rises") == 2
    assert "secret" not in text


@given(st.text(alphabet=st.sampled_from("<>/=\"'&;!-ab \n\x00é#x1"), max_size=80))
@settings(deadline=None, max_examples=100)
def test_any_markup_is_extracted(markup: str) -> None:
    """Broken markup gives a page of strings, never an error."""
    page = html.extract(f"<title>{markup}</title><h1>{markup}</h1>{markup}")
    page.text.encode()
    page.title.encode()


def test_an_entity_of_too_many_digits_is_replaced() -> None:
    """A number that Python refuses to read is U+FFFD, not an error."""
    page = html.extract(f"<title>a &amp;#{'1' * 5000}; b</title><p>text")
    assert page.title == "a \ufffd b"


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
    assert html.choose_title(*candidates) == expected


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
    assert html.without_name(title, site) == expected


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


def test_a_wrong_choice_of_the_main_content_is_made_good() -> None:
    """Where it has next to nothing, the paragraphs of the whole page are taken."""
    paragraphs = "".join(f"<p>{PARAGRAPH}</p>" for _ in range(3))
    page = (
        f"<div class=sidebar>{paragraphs}</div><article><h1>A title</h1><p>Caption.</p></article>"
    )
    assert html.extract(page).text.count("The river rises") == 3


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
    assert html.after_title(text, "A tale") == expected


def test_no_title_cuts_nothing() -> None:
    """An empty title is not found in an empty line."""
    assert html.after_title("One.\n\nTwo.", "") == "One.\n\nTwo."
