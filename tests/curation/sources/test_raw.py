"""The raw records that sources hand on."""

from __future__ import annotations

import pytest

from curation.sources.raw import RawDocument, RawPair, RawSection


def test_an_optional_field_is_empty_and_the_language_undeclared() -> None:
    """A source fills in what it knows; a missing language is None, not a guess."""
    document = RawDocument("id", "Title", [RawSection("", 0, "text")])
    assert (document.abstract, document.url, document.date) == ("", "", "")
    assert document.language is None


def test_pairs_do_not_share_their_extras() -> None:
    """Each record has a dictionary of its own."""
    first, second = (RawPair("q", "p", "parallel", "en", "de") for _ in range(2))
    first.extra["page"] = "1"
    assert second.extra == {}


def test_a_misspelt_field_raises() -> None:
    """The records have slots: a typo is an error, not a lost value."""
    document = RawDocument("id", "Title", [])
    with pytest.raises(AttributeError):
        document.langauge = "en"  # type: ignore[attr-defined]
