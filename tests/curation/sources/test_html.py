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


def test_a_wrong_choice_of_the_main_content_is_made_good() -> None:
    """Where it has next to nothing, the paragraphs of the whole page are taken."""
    paragraphs = "".join(f"<p>{PARAGRAPH}</p>" for _ in range(3))
    page = (
        f"<div class=sidebar>{paragraphs}</div><article><h1>A title</h1><p>Caption.</p></article>"
    )
    assert html.extract(page).text.count("The river rises") == 3
