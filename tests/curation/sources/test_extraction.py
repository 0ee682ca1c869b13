"""Pages through either extractor, in a process of its own."""

from __future__ import annotations

import time

import pytest

from curation.errors import ConfigError
from curation.sources import extraction, markup
from curation.sources.extraction import PageReader
from curation.sources.html import Page
from tests.builders import PARAGRAPH, news_html

LINE = PARAGRAPH.strip()
NEWS = news_html("The lighthouse reopens", f"{PARAGRAPH}\n{PARAGRAPH}é")
EXTRACTORS = ["resiliparse", "trafilatura"]
# 12,000 open formatting elements that each paragraph repeats: the tree has 72 million nodes.
HOSTILE = "".join(f"<p><font size={i}>t" for i in range(12_000)).encode()


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_page_gives_its_parts(extractor: str) -> None:
    """Title and text are the same by either extractor, whatever the charset."""
    with PageReader(extractor) as read:
        page = read(NEWS, "utf-8")
        other = read(NEWS.decode().encode("latin-1"), "latin-1")
    assert isinstance(page, Page)
    assert page.title == "The lighthouse reopens"
    assert page.language == "en"
    assert page.text.split() == [*LINE.split(), *LINE.split(), "é"]
    assert other == page


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html><body></body></html>", "no_text"),
        (b"<div>" * (markup.MAX_DEPTH + 1) + b"text", "page_too_deep"),
        (b"\x00" * 500, "no_text"),
    ],
    ids=["empty", "deep", "zeros"],
)
def test_an_unusable_page_has_a_reason(extractor: str, body: bytes, reason: str) -> None:
    """And the next page is read."""
    with PageReader(extractor) as read:
        assert read(body, None) == reason
        assert isinstance(read(NEWS, None), Page)


def test_a_hostile_page_is_bounded() -> None:
    """A page of 250 KB that would take minutes and gigabytes costs its second; the next is read."""
    start = time.monotonic()
    with PageReader("resiliparse", seconds=0.5) as read:
        assert read(HOSTILE, None) in ("extraction_timeout", "extraction_failed")
        assert isinstance(read(NEWS, None), Page)
    assert time.monotonic() - start < 60


def test_a_missing_extractor_is_an_error_of_the_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install: no page is read, none is lost."""
    monkeypatch.setattr(extraction, "__name__", "tests.curation.sources.without_trafilatura")
    with pytest.raises(ConfigError, match=r"pip install .*trafilatura"), PageReader("trafilatura"):
        raise AssertionError("entered")
