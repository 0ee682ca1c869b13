"""Papers and the papers that cite them, side by side, to pairs."""

from __future__ import annotations

import pytest

from curation.citations import Reference, citation_pairs, cited, citing
from curation.records import Document, Pair, Reject
from curation.sources.raw import RawDocument, RawSection


def paper(identity: str, text: str = "Text.") -> Reference:
    return Reference(identity, "", f"Title {identity}", text, "en", "s2")


def citation(cited: str, citing: str, language: str = "de") -> Reference:
    return Reference(cited, citing, f"Title {citing}", "", language, "s2")


def test_a_citation_is_a_pair() -> None:
    """The title of the citing paper asks for the cited one; both are named."""
    (pair,) = citation_pairs([paper("a"), citation("a", "b")], 20)
    assert isinstance(pair, Pair)
    assert (pair.query, pair.positive, pair.relation) == ("Title b", "Title a\nText.", "citation")
    assert (pair.query_document_id, pair.document_id) == ("b", "a")
    assert (pair.query_language, pair.language, pair.source) == ("de", "en", "s2")


def test_a_title_without_a_language_is_in_that_of_the_cited() -> None:
    """Languages are not told from titles."""
    (pair,) = citation_pairs([paper("a"), citation("a", "b", "")], 20)
    assert isinstance(pair, Pair)
    assert pair.query_language == "en"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([paper("a")], []),
        ([citation("a", "b"), citation("a", "c")], [("cited_paper_absent", "2")]),
        ([], []),
    ],
    ids=["uncited", "absent", "empty"],
)
def test_what_gives_no_pair(rows: list[Reference], expected: list[tuple[str, str]]) -> None:
    """Unresolved citations are counted, one reject a paper."""
    found = list(citation_pairs(rows, 20))
    assert [(r.reason, r.value) for r in found if isinstance(r, Reject)] == expected
    assert len(found) == len(expected)


def test_a_famous_paper_keeps_so_many() -> None:
    """Which ones does not depend on their order or number of copies."""
    rows = [citation("a", f"p{i}") for i in range(10)]
    first = list(citation_pairs([paper("a"), *rows], 3))
    second = list(citation_pairs([paper("a"), *reversed(rows), *rows], 3))
    assert first == second
    assert [type(item) for item in first] == [Pair, Pair, Pair, Reject]
    assert (first[3].reason, first[3].value) == ("cited_too_often", "7")  # type: ignore[union-attr]


def test_what_a_paper_leaves() -> None:
    """Its title under each paper that it cites, and under its own id its text, once it is kept."""
    raw = RawDocument("a", "A  title", [RawSection("", 0, "Text.")], cites=["b", "c"])
    assert list(citing(raw, "s2")) == [
        Reference("b", "a", "A title", "", "", "s2"),
        Reference("c", "a", "A title", "", "", "s2"),
    ]
    kept = Document("a", "s2", "A title", "Text.", language="en")
    assert cited(kept) == Reference("a", "", "A title", "Text.", "en", "s2")
