"""HTML pages: decoding, title, description, main text, and pages made to break parsers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources import html
from tests.builders import PARAGRAPH, news_html

RUSSIAN = "Маяк был построен в 1900 году"
GREEK = "Ο φάρος χτίστηκε το 1900"

DECODED = {
    "header": (RUSSIAN.encode("koi8-r"), "koi8-r", RUSSIAN),
    "header in capitals": (RUSSIAN.encode("cp1251"), "WINDOWS-1251", RUSSIAN),
    "header over meta": (f"<meta charset=latin1>{RUSSIAN}".encode(), "utf-8", None),
    "meta": (b'<meta charset="iso-8859-7">' + GREEK.encode("iso-8859-7"), None, GREEK),
    "http-equiv": (
        b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">'
        + RUSSIAN.encode("cp1251"),
        None,
        RUSSIAN,
    ),
    "meta behind a wrong header": (
        b"<meta charset=windows-1251>" + RUSSIAN.encode("cp1251"),
        "utf-8",
        RUSSIAN,
    ),
    "utf-8 undeclared": (GREEK.encode(), None, GREEK),
    "unknown name": (GREEK.encode(), "x-no-such", GREEK),
    "a codec that is no charset": (GREEK.encode(), "hex", GREEK),
    "name with a NUL": (GREEK.encode(), "utf\0", GREEK),
    "utf-8 mark over header": (b"\xef\xbb\xbf" + GREEK.encode(), "latin1", GREEK),
    "utf-16-le mark": (b"\xff\xfe" + GREEK.encode("utf-16-le"), "latin1", GREEK),
    "utf-16-be mark": (b"\xfe\xff" + GREEK.encode("utf-16-be"), None, GREEK),
    "empty": (b"", None, ""),
}


@pytest.mark.parametrize(("body", "header", "expected"), DECODED.values(), ids=DECODED)
def test_decoding_order(body: bytes, header: str | None, expected: str | None) -> None:
    """Mark, header, meta, UTF-8: the first that the bytes do not contradict."""
    found = html.decode(body, header)
    assert found.endswith(RUSSIAN if expected is None else expected)
    assert "\ufeff" not in found


@given(st.binary(max_size=300), st.none() | st.sampled_from(["utf-8", "koi8-r", "gb2312", "no"]))
@settings(deadline=None, max_examples=100)
def test_any_bytes_decode(body: bytes, header: str | None) -> None:
    """Decoding never raises, and what comes out can be written as UTF-8."""
    found = html.decode(body, header)
    assert found.encode().decode() == found
    assert found or body in (b"", *(mark for mark, _ in html._BOMS))


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


DEEP = html.MAX_DEPTH + 1


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<div>" * DEEP, True),
        ("<DIV class='x'>" * DEEP + "</div>" * DEEP, True),
        ("<table><tr><td>" * DEEP, True),
        ("<div>" * (DEEP - 1) + "<p>" * DEEP, False),
        ("<div></div>" * DEEP, False),
        ("</div>" * DEEP + "<div>" * (DEEP - 1), False),
        ("<p>" * 3 * DEEP, False),
        ("<divider>" * DEEP, False),
    ],
    ids=["open", "closed", "tables", "just", "side by side", "ends first", "paragraphs", "names"],
)
def test_depth_is_that_of_blocks(markup: str, expected: bool) -> None:
    """Only blocks inside blocks count."""
    assert html.is_too_deep(markup) is expected


def test_the_deepest_page_allowed_is_quick() -> None:
    """Extraction is quadratic in depth; at the limit it must not be felt."""
    markup = "<div>" * html.MAX_DEPTH + PARAGRAPH
    assert not html.is_too_deep(markup)
    start = time.process_time()
    assert html.extract(markup).text == PARAGRAPH.strip()
    assert time.process_time() - start < 2
